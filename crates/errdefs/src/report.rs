//! Pure: how a failure and its causes are printed.

use crate::Fault;
use std::error::Error;
use std::fmt;

/// Prints a [`Fault`] for a person: the message, one cause per line, and the hint on its own line.
#[derive(Debug)]
pub struct Report<'a>(pub &'a Fault);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.message())?;
        for cause in causes(self.0) {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(hint) = self.0.hint() {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// The message and its causes in one line, for protocols that carry one string.
pub fn one_line(fault: &Fault) -> String {
    let mut line = fault.message().to_owned();
    for cause in causes(fault) {
        line.push_str(": ");
        line.push_str(&cause);
    }
    line
}

fn causes(fault: &Fault) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = fault.cause();
    while let Some(error) = next {
        let text = error.to_string();
        // A transparent wrapper says what its source says; once is enough.
        if list.last() != Some(&text) {
            list.push(text);
        }
        next = error.source();
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Kind, ResultExt};
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `x`")]
    struct Low {
        #[source]
        source: io::Error,
    }

    impl Failure for Low {
        fn kind(&self) -> Kind {
            Kind::DataLoss
        }
        fn hint(&self) -> Option<String> {
            Some("look again".to_owned())
        }
    }

    fn low() -> Fault {
        Low { source: io::Error::other("bad sector") }.into()
    }

    #[test]
    fn the_message_is_not_repeated_among_the_causes() {
        assert_eq!(one_line(&low()), "cannot read `x`: bad sector");
    }

    #[test]
    fn context_keeps_kind_and_hint() {
        let fault = Err::<(), Fault>(low()).during(|| "cannot start `web`".to_owned()).unwrap_err();
        assert_eq!(fault.kind(), Kind::DataLoss);
        assert_eq!(
            Report(&fault).to_string(),
            "cannot start `web`\n  caused by: cannot read `x`\n  caused by: bad sector\nhint: look again"
        );
    }

    #[test]
    fn the_kind_of_an_io_error_follows_the_errno() {
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(Fault::io("cannot write", full).kind(), Kind::ResourceExhausted);
    }
}
