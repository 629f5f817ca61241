//! Pure: `--network` in its short and long form, and the values that belong to a place in a network.

use super::OptError;

/// The networks that are not made by anybody.
const BUILT_IN: &[&str] = &["default", "bridge", "host", "none"];

/// What one `--network` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Name or ID of the network, or a mode such as `host`.
    pub network: String,
    /// Further names.
    pub aliases: Vec<String>,
    /// Links to other containers, `NAME:ALIAS`.
    pub links: Vec<String>,
    /// A fixed address.
    pub ipv4: String,
    /// A fixed address.
    pub ipv6: String,
    /// Further addresses, good on the link only.
    pub link_local: Vec<String>,
    /// Hardware address.
    pub mac: String,
    /// Options of the driver.
    pub driver_opts: Vec<(String, String)>,
    /// Which network gives the default route: the highest.
    pub gateway_priority: i64,
}

/// Whether somebody made the network, as opposed to the built-in ones and another container's.
pub fn is_user_defined(network: &str) -> bool {
    !network.is_empty() && !BUILT_IN.contains(&network) && !network.starts_with("container:")
}

/// A network by its name (`lan`), or in the long form (`name=lan,alias=web,ip=10.0.0.5`).
///
/// docker's client turns the whole long form into lower case, so that a network `Lan` cannot be named by it; here only
/// the keys may be written in any case.
pub fn attachment(text: &str) -> Result<Attachment, OptError> {
    let mut attachment = Attachment::default();
    if !is_long(text) {
        attachment.network = text.to_owned();
        return Ok(attachment);
    }
    for field in super::mount::csv(text)? {
        set(&mut attachment, &field)?;
    }
    if attachment.network.is_empty() {
        return Err(OptError::new("network name/id is not specified")
            .with_hint("add `name=NETWORK` to the list"));
    }
    Ok(attachment)
}

/// docker's test: somewhere in the text an `=` stands between two word characters.
fn is_long(text: &str) -> bool {
    let word = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'='
            && word(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && word(bytes.get(at + 1))
    })
}

fn set(attachment: &mut Attachment, field: &str) -> Result<(), OptError> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) if !key.is_empty() => (key.trim(), value.trim()),
        _ => return Err(OptError::new(format!("invalid field {field}"))),
    };
    let own = || value.to_owned();
    match key.to_ascii_lowercase().as_str() {
        "name" => attachment.network = own(),
        "alias" => attachment.aliases.push(own()),
        "ip" => attachment.ipv4 = own(),
        "ip6" => attachment.ipv6 = own(),
        "mac-address" => attachment.mac = mac(value)?,
        "link-local-ip" => attachment.link_local.push(own()),
        "driver-opt" => attachment
            .driver_opts
            .push(driver_opt(value, "invalid key value pair format in driver options")?),
        "gw-priority" => {
            attachment.gateway_priority = crate::flags::go_int(value).map_err(|error| {
                let reason = error.message.rsplit(": ").next().unwrap_or_default();
                OptError::new(format!("invalid gw-priority ({value}): {reason}"))
            })?;
        }
        _ => {
            return Err(OptError::new(format!("invalid field key {key}")).with_hint(
                "the keys are `name`, `alias`, `ip`, `ip6`, `mac-address`, `link-local-ip`, `driver-opt` and `gw-priority`",
            ));
        }
    }
    Ok(())
}

/// `KEY=VALUE`; `complaint` is what docker says otherwise.
pub fn driver_opt(text: &str, complaint: &str) -> Result<(String, String), OptError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(OptError::new(complaint)),
    }
}

/// A hardware address in one of the spellings that Go reads: `02:42:ac:11:00:02`, with `-`, or `0242.ac11.0002`.
pub fn mac(text: &str) -> Result<String, OptError> {
    let digits = |part: &str, count: usize| {
        part.len() == count && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let trimmed = text.trim();
    let well_formed = [(':', 2), ('-', 2), ('.', 4)].into_iter().any(|(separator, width)| {
        let parts: Vec<&str> = trimmed.split(separator).collect();
        [6, 8, 20].contains(&(parts.len() * width / 2))
            && parts.iter().all(|part| digits(part, width))
    });
    if well_formed {
        Ok(trimmed.to_owned())
    } else {
        Err(OptError::new(format!("{text} is not a valid mac address")))
    }
}

/// `NAME` or `NAME:ALIAS`.
pub fn link(text: &str) -> Result<String, OptError> {
    if text.is_empty() {
        return Err(OptError::new("empty string specified for links"));
    }
    if text.split(':').count() > 2 {
        return Err(OptError::new(format!("bad format for links: {text}")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    fn named(network: &str) -> Attachment {
        Attachment { network: network.to_owned(), ..Attachment::default() }
    }

    #[test]
    fn the_short_form_is_a_name() {
        check(
            attachment,
            &[
                ("host", named("host")),
                ("container:x", named("container:x")),
                ("", named("")),
                ("a,b", named("a,b")),
                ("name = a", named("name = a")),
                ("name=", named("name=")),
                ("name=a", named("a")),
                ("name=Lan", named("Lan")),
            ],
            &[],
        );
    }

    #[test]
    fn the_long_form_has_fields() {
        let text = "name=a,alias=x,ALIAS= y ,ip=1.2.3.4,ip6=::1,mac-address=02-42-ac-11-00-03,\
                    link-local-ip=169.254.0.1,link-local-ip=fe80::1,driver-opt=a=b=c,gw-priority=-5";
        let own = |text: &str| text.to_owned();
        let full = Attachment {
            network: own("a"),
            aliases: vec![own("x"), own("y")],
            links: vec![],
            ipv4: own("1.2.3.4"),
            ipv6: own("::1"),
            link_local: vec![own("169.254.0.1"), own("fe80::1")],
            mac: own("02-42-ac-11-00-03"),
            driver_opts: vec![(own("a"), own("b=c"))],
            gateway_priority: -5,
        };
        let quoted = Attachment { driver_opts: vec![(own("b"), own("c,d"))], ..named("a") };
        check(
            attachment,
            &[(text, full), ("name=a,\"driver-opt=b=c,d\"", quoted)],
            &[
                ("name=a,foo=1", "invalid field key foo"),
                ("a-b=c", "invalid field key a-b"),
                ("alias=z", "network name/id is not specified"),
                ("name=a,driver-opt=b", "invalid key value pair format in driver options"),
                ("name=a,alias", "invalid field alias"),
                ("a,alias=x", "invalid field a"),
                ("name=a,=x", "invalid field =x"),
                ("name=a,,ip=1.2.3.4", "invalid field "),
                ("name=a,mac-address=xx", "xx is not a valid mac address"),
                ("name=a,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
                (
                    "name=a,gw-priority=99999999999999999999",
                    "invalid gw-priority (99999999999999999999): value out of range",
                ),
            ],
        );
    }

    #[test]
    fn hardware_addresses_and_links() {
        let same = |text: &'static str| (text, text.to_owned());
        check(
            mac,
            &[
                same("02:42:ac:11:00:03"),
                same("02-42-AC-11-00-03"),
                same("0242.ac11.0003"),
                same("02:42:AC:11:00:03:01:02"),
            ],
            &[
                ("xx", "xx is not a valid mac address"),
                ("02:42:ac:11:00", "not a valid"),
                ("02:42-ac:11:00:03", "not a valid"),
                ("2:42:ac:11:00:03", "not a valid"),
                ("0242.ac11", "not a valid"),
                ("", " is not a valid mac address"),
            ],
        );
        check(
            link,
            &[same("b"), same("b:c"), same("/foo:/c1/bar")],
            &[("", "empty string specified for links"), ("a:b:c", "bad format for links: a:b:c")],
        );
    }

    #[test]
    fn some_networks_are_there_anyway() {
        for (network, made) in [
            ("lan", true),
            ("default", false),
            ("bridge", false),
            ("host", false),
            ("none", false),
            ("container:x", false),
            ("", false),
        ] {
            assert_eq!(is_user_defined(network), made, "{network}");
        }
    }
}
