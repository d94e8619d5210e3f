//! The files that pages load. Their addresses hold their hashes, so that browsers may keep them for ever.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Where the files are found.
const FOLDER: &str = "/dashboard/assets/";

/// A file.
#[derive(Debug)]
pub struct Asset {
    name: &'static str,
    /// Its address.
    pub path: String,
    /// Its `Content-Type`.
    pub kind: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files: [(&str, &str, &[u8]); 7] = [
        ("app.js", SCRIPT, include_bytes!("../assets/app.js")),
        ("playground.js", SCRIPT, include_bytes!("../assets/playground.js")),
        ("charts.js", SCRIPT, include_bytes!("../assets/charts.js")),
        ("uPlot.iife.min.js", SCRIPT, include_bytes!("../assets/uPlot.iife.min.js")),
        ("uPlot.min.css", CSS, include_bytes!("../assets/uPlot.min.css")),
        ("style.css", CSS, include_bytes!("../assets/style.css")),
        ("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
    ];
    let asset = |(name, kind, bytes): (&'static str, &'static str, &'static [u8])| {
        let hash = HEXLOWER.encode(&Sha256::digest(bytes)[..6]);
        Asset { name, path: format!("{FOLDER}{hash}/{name}"), kind, bytes }
    };
    files.into_iter().map(asset).collect()
});

/// The file at this address.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The address of the file of this name; empty if there is none.
pub(crate) fn path_of(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map(|asset| &*asset.path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_the_hash_of_its_file() {
        let style = path_of("style.css");
        assert!(style.starts_with(FOLDER) && style.ends_with("/style.css"), "{style}");
        assert_eq!(asset(style).unwrap().bytes, include_bytes!("../assets/style.css"));
        assert!(asset("/dashboard/assets/style.css").is_none() && path_of("none").is_empty());
    }
}
