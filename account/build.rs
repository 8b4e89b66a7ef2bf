//! What is embedded is built again where the pages were: the folders are looked through as a whole, so
//! that a file that is new or gone counts too.

fn main() {
    for built in ["console", "site"] {
        println!("cargo::rerun-if-changed=../client/{built}/dist");
    }
}
