//! Fields of a query or a form (`application/x-www-form-urlencoded`). Pure.

/// Most fields that are looked at.
const MOST_FIELDS: usize = 128;

/// The fields in order, decoded; none when there are too many or they are not UTF-8 text.
pub(crate) fn fields(text: &str) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    for field in text.split('&').filter(|field| !field.is_empty()) {
        if fields.len() == MOST_FIELDS {
            return None;
        }
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        fields.push((decode(name)?, decode(value)?));
    }
    Some(fields)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                let mut value = [0];
                hex::decode_to_slice(pair, &mut value).ok()?;
                bytes.extend(value);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn fields_are_decoded_and_kept_in_order() {
        let pairs = |text: &str| {
            fields(text).map(|all| {
                all.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>()
            })
        };
        assert_eq!(
            pairs("a=1&b=x%20y&a=2+3&c&=&&d=%3D%26"),
            Some(["a:1", "b:x y", "a:2 3", "c:", ":", "d:=&"].map(str::to_owned).to_vec())
        );
        assert_eq!(pairs(""), Some(Vec::new()));
        for text in ["a=%", "a=%4", "a=%zz", "%ff=1", "a=%+1"] {
            assert_eq!(pairs(text), None, "{text}");
        }
        assert_eq!(pairs(&"a&".repeat(128)).map(|all| all.len()), Some(128));
        assert_eq!(pairs(&"a&".repeat(129)), None);
    }
}
