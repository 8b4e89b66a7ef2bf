//! What is embedded is built again where the pages were: the folder is looked through as a whole, so that
//! a file that is new or gone counts too.

fn main() {
    println!("cargo::rerun-if-changed=../client/admin/dist");
}
