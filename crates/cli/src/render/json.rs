//! Pure: JSON text laid out anew without changing what it says (the order of keys and the shape of numbers stay).

/// Indents JSON by four blanks, as docker prints `inspect`.
pub fn indent(text: &str) -> String {
    indent_by(text, "    ")
}

/// Indents JSON by a tab, as docker prints manifests.
pub fn indent_by_tabs(text: &str) -> String {
    indent_by(text, "\t")
}

fn indent_by(text: &str, unit: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(unit, depth));
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push(c);
                string(&mut chars, &mut out);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                let closing = if c == '{' { '}' } else { ']' };
                if chars.next_if_eq(&closing).is_some() {
                    out.push(closing);
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    let mut escaped = false;
    for c in chars {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn layout_changes_and_content_does_not() {
        assert_eq!(
            indent(r#"{"b":[1,2.50],"a":{},"s":"x:\",{","e":[ ]}"#),
            "{\n    \"b\": [\n        1,\n        2.50\n    ],\n    \"a\": {},\n    \"s\": \"x:\\\",{\",\n    \"e\": []\n}"
        );
    }
}
