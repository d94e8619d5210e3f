//! `${NAME}` and `${file:PATH}` in strings.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

/// Most bytes of a file that a string names: a certificate's key would fit, a log would not.
const MAX_FILE_BYTES: u64 = 65_536;

/// Where the values come from.
pub trait Sources {
    /// The variable's value, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// What is in the file, without the end of its last line.
    ///
    /// # Errors
    /// What is wrong with the file; never what is in it.
    fn file(&self, path: &str) -> Result<String, String> {
        read(Path::new(path)).map_err(|what| format!("the file {path:?} {what}"))
    }

    /// The addresses of a host, as the system resolves its name.
    ///
    /// # Errors
    /// Why there are none; never the name, which may be a variable's value.
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        match (host, 0).to_socket_addrs() {
            Ok(found) => Ok(found.map(|address| address.ip()).collect()),
            Err(error) => Err(format!("this name cannot be resolved: {error}; write the IP address")),
        }
    }
}

/// Variables by this function, files from the disk.
impl<F: Fn(&str) -> Option<String>> Sources for F {
    fn variable(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Replaces `${NAME}` by the variable's value and `${file:PATH}` by what is in the file; `$${` stands for a literal `${`.
///
/// # Errors
/// What is wrong; never a value.
pub(crate) fn substitute(text: &str, sources: &dyn Sources) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            return Err("`${` without `}`: write $${ for a literal ${".to_owned());
        };
        out.push_str(&value(&rest[at + 2..at + length], sources)?);
        rest = &rest[at + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn value(name: &str, sources: &dyn Sources) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        if path.is_empty() || path.contains(['$', '{', '\0']) {
            return Err("after ${file: stands no path: write it out, as in ${file:/run/secrets/key}".to_owned());
        }
        return sources.file(path);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        let what = "between ${ and } stands no name of a variable and no file:<path>: write $${ for a literal ${";
        return Err(what.to_owned());
    }
    sources.variable(name).ok_or_else(|| format!("the environment variable {name} is not set"))
}

/// Nothing but a regular file is opened: a pipe would keep the reader for ever.
fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    // It may have grown since.
    let mut file = File::open(path).map_err(unreadable)?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes: is it the right one?"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
    // `echo` and editors end the line; a secret does not.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::substitute;

    #[test]
    fn variables_escapes_and_mistakes() {
        let env = |name: &str| (name == "A").then(|| "${B}".to_owned());
        let of = |text: &str| substitute(text, &env);
        assert_eq!(of("x${A}y"), Ok("x${B}y".to_owned()), "values are not substituted again");
        assert_eq!(of("$${A} $5 $ $${file:/x}"), Ok("${A} $5 $ ${file:/x}".to_owned()));
        assert_eq!(of("${MISSING}"), Err("the environment variable MISSING is not set".to_owned()));
        for mistake in ["${A", "${}", "${A B}", "${A=B}", "${a\0}", "${File:/x}", "${file/x}"] {
            assert!(of(mistake).unwrap_err().contains("literal ${"), "{mistake:?}");
        }
        for mistake in ["${file:}", "${file:${A}}", "${file:$A/x}", "${file:/a\0}"] {
            assert!(of(mistake).unwrap_err().contains("no path"), "{mistake:?}");
        }
    }

    #[test]
    fn files_and_what_is_wrong_with_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a key");
        let of = |path: &std::path::Path| substitute(&format!("<${{file:{}}}>", path.display()), &|_: &str| None);
        for (bytes, expected) in [
            ("secret", "<secret>"),
            ("secret\n", "<secret>"),
            ("secret\r\n", "<secret>"),
            (" two\nlines \n\n", "< two\nlines \n>"),
            ("${A} $${file:/x}", "<${A} $${file:/x}>"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(of(&path).as_deref(), Ok(expected), "{bytes:?}");
        }
        for (bytes, what) in [
            (Vec::new(), "is empty"),
            (b"\n".to_vec(), "is empty"),
            (b"\r\n".to_vec(), "is empty"),
            (b"s3cr3t\xff".to_vec(), "is not UTF-8 text"),
            (b"s3cr3t".repeat(20_000), "is larger than 65536 bytes"),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let error = of(&path).unwrap_err();
            assert!(error.starts_with(&format!("the file {path:?} {what}")), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        std::fs::write(&path, vec![b'x'; 65_536]).unwrap();
        assert_eq!(of(&path).unwrap().len(), 65_538, "as large as it may be");
        assert!(of(folder.path()).unwrap_err().ends_with("is no regular file"));
        assert!(of("/dev/zero".as_ref()).unwrap_err().ends_with("is no regular file"));
        assert!(of(&folder.path().join("none")).unwrap_err().contains("cannot be read: No such file"));
        // What a Kubernetes volume is made of.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::write(&path, "through").unwrap();
        assert_eq!(of(&link).as_deref(), Ok("<through>"));
    }
}
