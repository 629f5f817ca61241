//! Pure: progress lines of long operations as text.

use naru_api_types::progress::ProgressLine;

/// What to print for a line; nothing when it says nothing to a person.
pub fn show(line: &ProgressLine) -> Option<String> {
    if let Some(text) = &line.stream {
        return Some(text.clone());
    }
    let status = line.status.as_deref().filter(|status| !status.is_empty())?;
    let mut text = match &line.id {
        Some(id) if !id.is_empty() => format!("{id}: {status}"),
        _ => status.to_owned(),
    };
    if let Some(bar) = line.progress.as_deref().filter(|bar| !bar.is_empty()) {
        text.push(' ');
        text.push_str(bar);
    }
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |status: &str, id: &str| ProgressLine::status(status, Some(id.to_owned()));
        assert_eq!(show(&ProgressLine::stream("Loaded image: x\n")).unwrap(), "Loaded image: x\n");
        assert_eq!(show(&line("Extracting", "abc")).unwrap(), "abc: Extracting\n");
        assert_eq!(show(&line("Done", "")).unwrap(), "Done\n");
        assert_eq!(show(&ProgressLine::default()), None);
    }
}
