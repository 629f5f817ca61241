//! Pure: `COPY` and `ADD`.

use super::Refused;
use super::flags::{self, Flags, Takes};
use super::instruction::words;
use crate::raw::Raw;
use crate::{Add, Copy, Files, InlineFile, heredoc};

pub(super) fn copy(raw: &Raw) -> Result<Copy, Refused> {
    let files = files(raw, "COPY")?;
    let mut flags = flags::read(
        &raw.flags,
        &[
            ("chown", Takes::Text),
            ("from", Takes::Text),
            ("chmod", Takes::Text),
            ("link", Takes::Switch),
            ("exclude", Takes::Texts),
            ("parents", Takes::Switch),
        ],
    )?;
    let files = owned(files, &mut flags);
    let from = flags.text("from");
    if from.as_ref().is_some_and(|from| has_variable(from)) {
        return Err("variable expansion is not supported for --from, define a new stage with FROM using ARG from \
                    global scope as a workaround"
            .into());
    }
    Ok(Copy { files, from, parents: flags.switch("parents").unwrap_or(false) })
}

pub(super) fn add(raw: &Raw) -> Result<Add, Refused> {
    let files = files(raw, "ADD")?;
    let mut flags = flags::read(
        &raw.flags,
        &[
            ("chown", Takes::Text),
            ("chmod", Takes::Text),
            ("link", Takes::Switch),
            ("keep-git-dir", Takes::Switch),
            ("checksum", Takes::Text),
            ("unpack", Takes::Switch),
            ("exclude", Takes::Texts),
        ],
    )?;
    Ok(Add {
        files: owned(files, &mut flags),
        checksum: flags.text("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

/// Whether a text would be changed by expansion.
pub(super) fn has_variable(text: &str) -> bool {
    let nothing = |_: &str| None;
    let expander = crate::Expander::new(crate::Escape::Backslash, &nothing);
    expander.word(text).as_deref() != Ok(text)
}

fn owned(files: Files, flags: &mut Flags) -> Files {
    Files {
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.texts("exclude"),
        ..files
    }
}

fn files(raw: &Raw, keyword: &str) -> Result<Files, Refused> {
    let words = words(raw);
    let Some((destination, from @ [_, ..])) = words.split_last() else {
        return Err(format!(
            "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        )
        .into());
    };
    if heredoc::opener(destination).is_some() {
        return Err(format!("{keyword} cannot accept a heredoc as a destination").into());
    }
    let mut sources = Vec::new();
    let mut inline = Vec::new();
    let mut documents = raw.heredocs.iter();
    for word in from {
        // An array holds no heredocs, whatever its strings look like.
        match heredoc::opener(word).filter(|_| !raw.heredocs.is_empty()) {
            Some(opened) => {
                let Some(document) = documents.find(|document| document.name == opened.name) else {
                    return Err(format!("{keyword} has no body for the heredoc {word}").into());
                };
                inline.push(InlineFile {
                    name: document.name.clone(),
                    content: document.body(),
                    expand: document.expand,
                });
            }
            None => sources.push(word.clone()),
        }
    }
    if documents.next().is_some() {
        return Err(format!(
            "{keyword} needs its heredocs as words of their own: write <<NAME without blanks"
        )
        .into());
    }
    Ok(Files {
        sources,
        inline,
        destination: destination.clone(),
        chown: None,
        chmod: None,
        link: false,
        exclude: Vec::new(),
    })
}
