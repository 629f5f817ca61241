//! Pure: the trait of failures, and the box that carries any of them upward.

use crate::Kind;
use std::error::Error;
use std::fmt;
use std::io;

/// An error that knows its kind and, where there is one, what to do about it.
pub trait Failure: Error {
    /// The coarse class of the failure.
    fn kind(&self) -> Kind;

    /// One sentence on what to do next.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Any failure on its way to the edge: what was attempted, its kind, a hint, and the cause.
///
/// The message says what was attempted, in lower case, with values in backticks and without a full stop;
/// the cause is the source and is not repeated in the message.
pub struct Fault(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync + 'static>>,
}

impl Fault {
    /// A failure of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Fault {
        Fault(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    /// Shorthand for [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Fault {
        Fault::new(Kind::NotFound, message)
    }

    /// Shorthand for [`Kind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Fault {
        Fault::new(Kind::Conflict, message)
    }

    /// Shorthand for [`Kind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(Kind::InvalidInput, message)
    }

    /// Shorthand for [`Kind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Fault {
        Fault::new(Kind::Unsupported, message)
    }

    /// Shorthand for [`Kind::Internal`].
    pub fn internal(message: impl Into<String>) -> Fault {
        Fault::new(Kind::Internal, message)
    }

    /// An operating system failure: the kind follows from the errno.
    pub fn io(message: impl Into<String>, source: io::Error) -> Fault {
        Fault::new(kind_of_io(&source), message).with_source(source)
    }

    /// The same failure with the sentence that says what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Fault {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same failure with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn Error + Send + Sync + 'static>>,
    ) -> Fault {
        self.0.source = Some(source.into());
        self
    }

    /// Wraps this failure in what was attempted, keeping its kind and hint.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Fault {
        Fault(Box::new(Inner {
            kind: self.0.kind,
            hint: self.0.hint.clone(),
            message: message.into(),
            source: Some(self.into()),
        }))
    }

    /// The coarse class of the failure.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// One sentence on what to do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What was attempted, without the causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// The kind that an operating system error stands for when nothing better is known.
pub(crate) fn kind_of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::AlreadyExists => Kind::AlreadyExists,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Forbidden,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory => {
            Kind::ResourceExhausted
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Kind::InvalidInput
        }
        _ => Kind::Internal,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

// `Fault` does not implement `Error`, so that this blanket conversion can exist; its source chain is reached by
// `as_error`.
impl<E: Failure + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Fault {
        let (kind, hint, message) = (error.kind(), error.hint(), error.to_string());
        // The message is the error's own, so its source (not itself) is the cause. It must own the chain, so the
        // error is kept and skipped when the chain is walked.
        Fault(Box::new(Inner {
            kind,
            message,
            hint,
            source: Some(Box::new(Skip(Box::new(error)))),
        }))
    }
}

/// Holds an error whose message the `Fault` above it has taken over; only its source is shown.
#[derive(Debug)]
struct Skip(Box<dyn Error + Send + Sync + 'static>);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Skip {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<Fault> for Box<dyn Error + Send + Sync + 'static> {
    fn from(fault: Fault) -> Self {
        Box::new(AsError(fault))
    }
}

/// A `Fault` seen as a standard error.
#[derive(Debug)]
struct AsError(Fault);

impl fmt::Display for AsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for AsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause()
    }
}

impl Fault {
    /// The cause, if there is one.
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.0.source.as_deref()?;
        match source.downcast_ref::<Skip>() {
            Some(skip) => skip.source(),
            None => Some(source),
        }
    }
}

/// `?` with what was attempted.
pub trait ResultExt<T> {
    /// Turns the error into a [`Fault`] that says what was attempted; kind and hint are kept.
    fn during(self, message: impl FnOnce() -> String) -> Result<T, Fault>;
}

impl<T> ResultExt<T> for Result<T, io::Error> {
    fn during(self, message: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|source| Fault::io(message(), source))
    }
}

impl<T> ResultExt<T> for Result<T, Fault> {
    fn during(self, message: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|fault| fault.context(message()))
    }
}
