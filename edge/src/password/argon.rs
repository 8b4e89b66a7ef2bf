//! argon2id (RFC 9106) in memory that is used again: what it needs, 19 MiB, an allocator gives back late
//! or never, so that a flood of sign-ins would grow the server by what all of them needed together.

use argon2::password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};

/// What one hash after another is computed in.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

/// A password's hash in PHC form.
pub(super) fn hash(
    password: &[u8],
    salt: &[u8],
    memory: &mut Memory,
) -> Result<String, password_hash::Error> {
    let salt = SaltString::encode_b64(salt)?;
    let params = Params::default();
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt.as_salt()),
        hash: Some(compute(password, salt.as_salt(), params, memory)?),
    };
    Ok(hash.to_string())
}

/// Whether a hash in PHC form is this password's.
pub(super) fn verify(
    password: &[u8],
    hash: &str,
    memory: &mut Memory,
) -> Result<bool, password_hash::Error> {
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(password_hash::Error::PhcStringField);
    };
    let version = hash.version.map(Version::try_from).transpose()?;
    if hash.algorithm != ARGON2ID_IDENT || version != Some(Version::V0x13) {
        return Err(password_hash::Error::Algorithm);
    }
    // Its comparison takes as long whatever differs.
    Ok(compute(password, salt, Params::try_from(&hash)?, memory)? == expected)
}

fn compute(
    password: &[u8],
    salt: Salt<'_>,
    params: Params,
    memory: &mut Memory,
) -> Result<Output, password_hash::Error> {
    let mut bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes)?;
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    if memory.0.len() < params.block_count() {
        memory.0.resize(params.block_count(), Block::default());
    }
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Output::init_with(length, |out| {
        Ok(argon.hash_password_into_with_memory(password, salt, out, &mut memory.0)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

    #[test]
    fn it_hashes_as_the_library_does_in_memory_that_was_used_before() {
        let mut memory = Memory::default();
        let first = hash(b"first", &[1; 16], &mut memory).expect("a hash");
        let held = memory.0.as_ptr();
        let second = hash(b"second", &[2; 16], &mut memory).expect("a hash");
        for (password, ours) in [(&b"first"[..], &first), (b"second", &second)] {
            let parsed = PasswordHash::new(ours).expect("PHC");
            let library = Argon2::default();
            assert!(library.verify_password(password, &parsed).is_ok());
            let theirs = library.hash_password(password, parsed.salt.expect("a salt"));
            assert_eq!(theirs.expect("a hash").to_string(), *ours);
            assert_eq!(verify(password, ours, &mut memory), Ok(true));
            assert_eq!(verify(b"other", ours, &mut memory), Ok(false));
        }
        assert_eq!(memory.0.as_ptr(), held, "no other memory is used");
        for odd in ["", "$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAA"] {
            assert!(verify(b"first", odd, &mut memory).is_err(), "{odd}");
        }
    }
}
