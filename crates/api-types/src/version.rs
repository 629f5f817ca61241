//! Pure: the versions of the Engine API that are spoken, and how one is chosen.

use naru_errdefs::{Failure, Kind};
use std::fmt;
use std::str::FromStr;

/// A version of the Engine API, as in the path prefix `/v1.43`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// The part before the dot.
    pub major: u32,
    /// The part after the dot.
    pub minor: u32,
}

impl ApiVersion {
    /// The newest version that is spoken; used when a request names none.
    pub const MAX: ApiVersion = ApiVersion { major: 1, minor: 51 };
    /// The oldest version that is spoken.
    pub const MIN: ApiVersion = ApiVersion { major: 1, minor: 24 };

    /// A version 1.`minor`.
    pub const fn v1(minor: u32) -> ApiVersion {
        ApiVersion { major: 1, minor }
    }

    /// Refuses versions that are not spoken.
    pub fn check(self) -> Result<ApiVersion, VersionError> {
        if self > ApiVersion::MAX {
            Err(VersionError::TooNew { version: self })
        } else if self < ApiVersion::MIN {
            Err(VersionError::TooOld { version: self })
        } else {
            Ok(self)
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<ApiVersion, VersionError> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse::<u32>().ok() } else { None }
        };
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(ApiVersion { major, minor }),
            (None, _) | (_, None) => Err(VersionError::Malformed { text: text.to_owned() }),
        }
    }
}

/// Why a version is not spoken. The texts are the ones that clients know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Newer than ours.
    #[error(
        "client version {version} is too new. Maximum supported API version is {}",
        ApiVersion::MAX
    )]
    TooNew {
        /// The version that was asked for.
        version: ApiVersion,
    },
    /// Older than what is spoken.
    #[error(
        "client version {version} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
        ApiVersion::MIN
    )]
    TooOld {
        /// The version that was asked for.
        version: ApiVersion,
    },
    /// Not a version.
    #[error("API version `{text}` is not of the form MAJOR.MINOR")]
    Malformed {
        /// What was there instead.
        text: String,
    },
}

impl Failure for VersionError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let old: ApiVersion = "1.9".parse().unwrap();
        assert!(old < ApiVersion::v1(24));
        assert!(ApiVersion::v1(100) > ApiVersion::MAX);
    }

    #[test]
    fn the_refusals_are_the_ones_clients_know() {
        assert_eq!(
            ApiVersion::v1(99).check().unwrap_err().to_string(),
            "client version 1.99 is too new. Maximum supported API version is 1.51"
        );
        assert_eq!(
            ApiVersion::v1(12).check().unwrap_err().to_string(),
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        for minor in 24..=51 {
            assert!(ApiVersion::v1(minor).check().is_ok());
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", ".", "1.", ".4", "1.2.3", "1.+4", "a", "1.99999999999"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
