//! Pure: `--restart no|always|unless-stopped|on-failure[:N]`.

use super::OptError;

/// A restart policy: its name and how many times at most (0 is without end).
pub fn parse(text: &str) -> Result<(String, i64), OptError> {
    if text.is_empty() {
        return Ok(("no".to_owned(), 0));
    }
    let (name, count) = text.split_once(':').unwrap_or((text, ""));
    let parts = text.matches(':').count();
    if parts > 1 {
        return Err(OptError::new(
            "invalid restart policy format: maximum retry count must be an integer",
        ));
    }
    if name.is_empty() {
        return Err(OptError::new(
            "invalid restart policy format: no policy provided before colon",
        ));
    }
    if !["no", "always", "unless-stopped", "on-failure"].contains(&name) {
        return Err(OptError::new(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )));
    }
    if parts == 0 || count.is_empty() {
        return Ok((name.to_owned(), 0));
    }
    let Ok(count) = count.parse::<u32>() else {
        return Err(OptError::new(
            "invalid restart policy format: maximum retry count must be an integer",
        ));
    };
    if name != "on-failure" && count > 0 {
        return Err(OptError::new(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    Ok((name.to_owned(), i64::from(count)))
}

#[cfg(test)]
mod tests {
    use crate::opts::tests::check;

    #[test]
    fn policies() {
        check(
            super::parse,
            &[
                ("", ("no".to_owned(), 0)),
                ("always", ("always".to_owned(), 0)),
                ("on-failure", ("on-failure".to_owned(), 0)),
                ("on-failure:3", ("on-failure".to_owned(), 3)),
                ("unless-stopped", ("unless-stopped".to_owned(), 0)),
            ],
            &[
                ("sometimes", "unknown policy 'sometimes'"),
                ("on-failure:x", "must be an integer"),
                ("on-failure:1:2", "must be an integer"),
                ("always:2", "only be used with 'on-failure'"),
                (":2", "no policy provided"),
            ],
        );
    }
}
