//! The folder of an export, which gets its name when it is whole.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::ExportError;
use crate::manifest::Manifest;

/// Where an export is written until it is whole: a hidden folder beside that which it will be, for its owner alone. It is gone with this
/// value, unless it got its name.
pub(crate) struct Folder {
    target: PathBuf,
    partial: TempDir,
}

impl Folder {
    /// A folder that will have this name, which nothing has yet.
    pub(crate) fn new(target: &Path) -> Result<Self, ExportError> {
        let name = target.file_name().ok_or_else(|| ExportError::Name(target.to_owned()))?;
        vacant(target)?;
        let beside = parent(target);
        let mut prefix = OsString::from(".");
        prefix.push(name);
        let partial = tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempdir_in(beside);
        Ok(Self { target: target.to_owned(), partial: partial.map_err(ExportError::write(target))? })
    }

    /// Where its files are written.
    pub(crate) fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Writes the manifest and gives the folder its name.
    pub(crate) fn finish(self, manifest: &Manifest) -> Result<(), ExportError> {
        let path = self.path().join("manifest.json");
        let text = serde_json::to_string_pretty(manifest).map_err(|error| ExportError::write(&path)(error.into()))?;
        let written = File::create_new(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map(|()| file));
        written.and_then(|file| file.sync_all()).map_err(ExportError::write(&path))?;
        // Somebody else may have taken the name meanwhile; a folder would be replaced if it is empty.
        vacant(&self.target)?;
        std::fs::rename(self.path(), &self.target).map_err(ExportError::write(&self.target))?;
        // Nothing of that name is there any more.
        drop(self.partial.keep());
        // Where a folder cannot be waited for, its new name may be lost with the power, and the export with it; it is not half there.
        drop(File::open(parent(&self.target)).and_then(|folder| folder.sync_all()));
        Ok(())
    }
}

fn vacant(target: &Path) -> Result<(), ExportError> {
    match target.symlink_metadata() {
        Ok(_) => Err(ExportError::Exists(target.to_owned())),
        Err(_) => Ok(()),
    }
}

fn parent(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
