//! `${NAME}` in strings.

/// Replaces `${NAME}` by the variable's value; `$${` stands for a literal `${`.
///
/// # Errors
/// What is wrong; never a value.
pub(super) fn substitute(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
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
        let name = &rest[at + 2..at + length];
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err("between ${ and } stands no name of a variable: write $${ for a literal ${".to_owned());
        }
        let value = env(name).ok_or_else(|| format!("the environment variable {name} is not set"))?;
        out.push_str(&value);
        rest = &rest[at + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::substitute;

    #[test]
    fn variables_escapes_and_mistakes() {
        let env = |name: &str| (name == "A").then(|| "${B}".to_owned());
        let of = |text: &str| substitute(text, &env);
        assert_eq!(of("x${A}y"), Ok("x${B}y".to_owned()), "values are not substituted again");
        assert_eq!(of("$${A} $5 $"), Ok("${A} $5 $".to_owned()));
        assert_eq!(of("${MISSING}"), Err("the environment variable MISSING is not set".to_owned()));
        for mistake in ["${A", "${}", "${A B}", "${A=B}", "${a\0}"] {
            assert!(of(mistake).unwrap_err().contains("literal ${"), "{mistake:?}");
        }
    }
}
