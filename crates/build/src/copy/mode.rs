//! Pure: the value of `--chmod`: octal, or symbolic as `chmod` has it.

/// What `--chmod` does to a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// This mode, whatever it was.
    Fixed(u32),
    /// Clause by clause.
    Clauses(Vec<Clause>),
}

/// One clause (`u+rwX`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Whose bits: 0o700, 0o070, 0o007 together.
    who: u32,
    operation: u8,
    /// `rwx` as one digit.
    bits: u32,
    /// `X`: executable where it is a directory or executable for somebody.
    if_executable: bool,
    /// `s`.
    set_id: bool,
    /// `t`.
    sticky: bool,
    /// Copies the bits of user, group or others.
    like: Option<u8>,
}

impl ModeChange {
    /// Reads a value.
    pub(crate) fn parse(text: &str) -> Result<ModeChange, String> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(ModeChange::Fixed(mode)),
                Ok(_) | Err(_) => Err(format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
                )),
            };
        }
        let bad = || format!("invalid chmod parameter: '{text}'");
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            let letters = clause.as_bytes();
            let names =
                letters.iter().take_while(|b| matches!(b, b'u' | b'g' | b'o' | b'a')).count();
            let mut who = letters.iter().take(names).fold(0, |who, letter| who | owner(*letter));
            if who == 0 {
                who = 0o777;
            }
            let mut rest = letters.get(names..).unwrap_or_default();
            if rest.is_empty() {
                return Err(bad());
            }
            while let Some(operation) = rest.first().copied() {
                if !matches!(operation, b'+' | b'-' | b'=') {
                    return Err(bad());
                }
                let mut clause = Clause {
                    who,
                    operation,
                    bits: 0,
                    if_executable: false,
                    set_id: false,
                    sticky: false,
                    like: None,
                };
                rest = rest.get(1..).unwrap_or_default();
                while let Some(letter) = rest.first().filter(|b| !matches!(b, b'+' | b'-' | b'=')) {
                    match letter {
                        b'r' => clause.bits |= 4,
                        b'w' => clause.bits |= 2,
                        b'x' => clause.bits |= 1,
                        b'X' => clause.if_executable = true,
                        b's' => clause.set_id = true,
                        b't' => clause.sticky = true,
                        b'u' | b'g' | b'o' if clause.like.is_none() => clause.like = Some(*letter),
                        _ => return Err(bad()),
                    }
                    rest = rest.get(1..).unwrap_or_default();
                }
                clauses.push(clause);
            }
        }
        if clauses.is_empty() { Err(bad()) } else { Ok(ModeChange::Clauses(clauses)) }
    }

    /// The mode that comes of a mode.
    pub(crate) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            ModeChange::Fixed(mode) => *mode,
            ModeChange::Clauses(clauses) => {
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_directory))
            }
        }
    }
}

impl Clause {
    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let mut bits = self.bits;
        if self.if_executable && (is_directory || mode & 0o111 != 0) {
            bits |= 1;
        }
        bits |= match self.like {
            Some(b'u') => (mode >> 6) & 7,
            Some(b'g') => (mode >> 3) & 7,
            Some(_) => mode & 7,
            None => 0,
        };
        let mut change = (bits * 0o111) & self.who;
        let mut covered = self.who;
        if self.set_id {
            change |= if self.who & 0o700 != 0 { 0o4000 } else { 0 };
            change |= if self.who & 0o070 != 0 { 0o2000 } else { 0 };
        }
        if self.sticky {
            change |= 0o1000;
        }
        if self.operation == b'=' && !is_directory {
            covered |= if self.who & 0o700 != 0 { 0o4000 } else { 0 };
            covered |= if self.who & 0o070 != 0 { 0o2000 } else { 0 };
        }
        match self.operation {
            b'+' => mode | change,
            b'-' => mode & !change,
            _ => (mode & !covered) | change,
        }
    }
}

fn owner(letter: u8) -> u32 {
    match letter {
        b'u' => 0o700,
        b'g' => 0o070,
        b'o' => 0o007,
        _ => 0o777,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_changes_them() {
        for (text, mode, directory, want) in [
            ("755", 0o600, false, 0o755),
            ("0644", 0o777, true, 0o644),
            ("4755", 0o600, false, 0o4755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, false, 0o700),
            ("u+s", 0o755, false, 0o4755),
            ("g=u", 0o640, false, 0o660),
            ("+t", 0o777, true, 0o1777),
            ("u+w-x", 0o555, false, 0o655),
            ("o=", 0o777, false, 0o770),
        ] {
            let change = ModeChange::parse(text).unwrap();
            assert_eq!(change.apply(mode, directory), want, "{text} {mode:o}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "9", "77777", "x", "u", "u?x", "ug+q", ",", "u+r,"] {
            assert!(ModeChange::parse(text).is_err(), "{text}");
        }
    }
}
