//! Pure: a compiled seccomp filter as a value that travels in a plan.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The bytes of a BPF program, eight an instruction; hexadecimal in JSON, because an array of numbers is four times longer.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter(pub Vec<u8>);

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.0.len() / 8)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = Vec::with_capacity(text.len() / 2);
        for pair in text.as_bytes().chunks(2) {
            let &[high, low] = pair else { return Err(D::Error::custom("odd number of digits")) };
            let digit =
                |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            match (digit(high), digit(low)) {
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                _ => return Err(D::Error::custom("not a hexadecimal digit")),
            }
        }
        if bytes.len() % 8 != 0 {
            return Err(D::Error::custom("not a whole number of instructions"));
        }
        Ok(Filter(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn a_filter_survives_json() {
        let filter = Filter((0..=255).collect());
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
        for bad in ["\"0\"", "\"zz\"", "\"00\""] {
            assert!(serde_json::from_str::<Filter>(bad).is_err(), "{bad}");
        }
    }
}
