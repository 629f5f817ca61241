//! Pure: instructions with their variables replaced, each by its own rules.
//!
//! `ENV`, `LABEL`, `ADD`, `COPY`, `WORKDIR`, `USER`, `VOLUME`, `STOPSIGNAL` are replaced word by word, `EXPOSE` may become more words than it was,
//! heredocs of `ADD` and `COPY` are replaced without regard to quotes. `RUN`, `CMD`, `ENTRYPOINT`, `HEALTHCHECK`, `SHELL` and `MAINTAINER` are
//! left to the shell, `ONBUILD` to the build that triggers it, `ARG` to [`crate::Scope::declare`], and `RUN --mount` to [`MountFlag::resolve`].
//!
//! [`MountFlag::resolve`]: crate::MountFlag::resolve

use crate::{Add, Copy, ExpandError, Expander, Files, InlineFile, Instruction, KeyValue};

impl Instruction {
    /// The instruction with its variables replaced. An instruction sees the variables as they were before it: of `ENV a=1 b=$a`, `$a` is the
    /// old one.
    pub fn expanded(&self, expander: &Expander<'_>) -> Result<Instruction, ExpandError> {
        let all = |words: &[String]| -> Result<Vec<String>, ExpandError> {
            words.iter().map(|word| expander.word(word)).collect()
        };
        Ok(match self {
            Instruction::Env(list) => Instruction::Env(pairs(list, expander)?),
            Instruction::Label(list) => Instruction::Label(pairs(list, expander)?),
            Instruction::Copy(copy) => Instruction::Copy(Copy {
                files: files(&copy.files, expander)?,
                from: copy.from.clone(),
                parents: copy.parents,
            }),
            Instruction::Add(add) => Instruction::Add(Add {
                files: files(&add.files, expander)?,
                checksum: optional(add.checksum.as_ref(), expander)?,
                ..add.clone()
            }),
            Instruction::Workdir(path) => Instruction::Workdir(expander.word(path)?),
            Instruction::User(user) => Instruction::User(expander.word(user)?),
            Instruction::StopSignal(name) => Instruction::StopSignal(expander.word(name)?),
            Instruction::Volume(paths) => Instruction::Volume(all(paths)?),
            Instruction::Expose(ports) => {
                let mut words = Vec::new();
                for port in ports {
                    words.extend(expander.words(port)?);
                }
                Instruction::Expose(words)
            }
            Instruction::Arg(_)
            | Instruction::Run(_)
            | Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Shell(_)
            | Instruction::Healthcheck(_)
            | Instruction::Onbuild(_)
            | Instruction::Maintainer(_) => self.clone(),
        })
    }
}

fn pairs(list: &[KeyValue], expander: &Expander<'_>) -> Result<Vec<KeyValue>, ExpandError> {
    list.iter()
        .map(|pair| {
            Ok(KeyValue {
                key: expander.word(&pair.key)?,
                value: expander.word(&pair.value)?,
                legacy: pair.legacy,
            })
        })
        .collect()
}

fn optional(text: Option<&String>, expander: &Expander<'_>) -> Result<Option<String>, ExpandError> {
    // A flag that expands to nothing is as good as not given.
    let text = text.map(|text| expander.word(text)).transpose()?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn files(files: &Files, expander: &Expander<'_>) -> Result<Files, ExpandError> {
    let inline = |file: &InlineFile| -> Result<InlineFile, ExpandError> {
        let content = match file.expand {
            true => expander.body(&file.content)?.text,
            false => file.content.clone(),
        };
        Ok(InlineFile { content, ..file.clone() })
    };
    Ok(Files {
        sources: files
            .sources
            .iter()
            .map(|source| expander.word(source))
            .collect::<Result<_, _>>()?,
        inline: files.inline.iter().map(inline).collect::<Result<_, _>>()?,
        destination: expander.word(&files.destination)?,
        chown: optional(files.chown.as_ref(), expander)?,
        chmod: optional(files.chmod.as_ref(), expander)?,
        link: files.link,
        exclude: files.exclude.clone(),
    })
}
