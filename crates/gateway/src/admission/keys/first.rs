//! The secret that the first key is made with.
//!
//! That a request comes from this machine shows nothing: a proxy on it may add no header. So while there never was a key, `/admin` wants
//! what stands in a file beside the database, which the gateway's own user alone can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use slarouter_store::StoreError;

use super::secret::{digest, generate};

/// What its file's name ends in, after the database's.
const ENDING: &str = ".first-key";

/// A secret in its file, which goes with it.
pub(crate) struct FirstSecret {
    path: PathBuf,
    digest: [u8; 32],
}

impl FirstSecret {
    /// Another secret in the place of what an earlier process may have left, for the store with this URL.
    ///
    /// # Errors
    /// The file cannot be written, or the system has no randomness to give.
    pub(crate) fn make(url: &str) -> io::Result<Self> {
        let path = path(url).map_err(io::Error::other)?;
        let secret = generate().map_err(io::Error::other)?;
        forget(&path)?;
        // Never through a link, and never readable by others, not even for a moment.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(secret.expose_secret().as_bytes())?;
        Ok(Self { path, digest: digest(secret.expose_secret().as_bytes()) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is it. What a comparison's time tells is of digests, which nobody can steer.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.digest == digest(shown)
    }
}

impl Drop for FirstSecret {
    fn drop(&mut self) {
        // Another gateway may have put its own there since.
        let own = fs::read(&self.path).is_ok_and(|held| self.is(&held));
        if own && let Err(error) = forget(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the file of the first key's secret stays, and is good for nothing");
        }
    }
}

/// The secret for the first key of a gateway that has this store, if there is one and this user may read it.
#[must_use]
pub fn first_secret(url: &str) -> Option<SecretString> {
    Some(fs::read_to_string(path(url).ok()?).ok()?.into())
}

fn path(url: &str) -> Result<PathBuf, StoreError> {
    slarouter_store::beside(url, ENDING)
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_is_its_users_alone_and_another_with_each_start() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("log.db");
        let url = format!("sqlite://{}", database.display());
        assert!(first_secret(&url).is_none());
        // A file of others in its place is not written to.
        let (path, theirs) = (folder.path().join("log.db.first-key"), folder.path().join("theirs"));
        fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::symlink(&theirs, &path).unwrap();
        let made = FirstSecret::make(&url).unwrap();
        assert_eq!((made.path(), fs::read_to_string(&theirs).unwrap()), (&*path, "theirs".to_owned()));
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = first_secret(&url).unwrap();
        assert!(made.is(secret.expose_secret().as_bytes()) && !made.is(b"") && !made.is(b"theirs"));
        let again = FirstSecret::make(&url).unwrap();
        assert!(!again.is(secret.expose_secret().as_bytes()));
        drop(made);
        assert!(again.is(first_secret(&url).unwrap().expose_secret().as_bytes()), "it is not the old one's to remove");
        drop(again);
        assert!(first_secret(&url).is_none(), "used up, it is gone");
    }
}
