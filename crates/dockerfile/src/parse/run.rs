//! Pure: `RUN` and its flags.

use super::Refused;
use super::flags::{self, Takes};
use super::instruction::command;
use super::value;
use crate::raw::Raw;
use crate::{Device, MountError, MountFlag, Run, RunNetwork, RunSecurity, mount, suggest, words};

pub(super) fn run(raw: &Raw) -> Result<Run, Refused> {
    let mut flags = flags::read(
        &raw.flags,
        &[
            ("mount", Takes::Texts),
            ("network", Takes::Text),
            ("security", Takes::Text),
            ("device", Takes::Texts),
        ],
    )?;
    let mounts = flags.texts("mount").into_iter().map(mount_flag).collect::<Result<_, _>>()?;
    let network = match flags.text("network").as_deref() {
        None | Some("default") => RunNetwork::Default,
        Some("none") => RunNetwork::None,
        Some("host") => RunNetwork::Host,
        Some(other) => {
            let nearest = suggest::nearest(other, ["default", "none", "host"]);
            return Err(Refused::with(format!("invalid network mode {other:?}"), nearest));
        }
    };
    let security = match flags.text("security").as_deref() {
        None | Some("sandbox") => RunSecurity::Sandbox,
        Some("insecure") => RunSecurity::Insecure,
        Some(other) => {
            let nearest = suggest::nearest(other, ["sandbox", "insecure"]);
            return Err(Refused::with(format!("security {other:?} is not valid"), nearest));
        }
    };
    let devices =
        flags.texts("device").iter().map(|text| device(text)).collect::<Result<_, _>>()?;
    Ok(Run { command: command(&raw.arguments), mounts, network, security, devices })
}

/// A mount is checked at once when nothing in it can change, and when it is used otherwise.
fn mount_flag(text: String) -> Result<MountFlag, Refused> {
    let refused = |error: MountError| match error {
        MountError::Field { message, suggestion } => Refused { message, suggestion },
        MountError::Expand(error) => error.to_string().into(),
    };
    let from = mount::from(&text).map_err(refused)?;
    if !text.contains(['$', '\'', '"', '\\', '`']) {
        mount::parse(&text, &mut |value| Ok(value.to_owned())).map_err(refused)?;
    }
    Ok(MountFlag { text, from })
}

fn device(text: &str) -> Result<Device, Refused> {
    let fields =
        value::fields(text).map_err(|why| format!("failed to parse csv devices: {why}"))?;
    let mut name: Option<String> = None;
    let mut required = false;
    for field in fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("required", None) => required = true,
            ("required", Some(value)) => {
                required = words::boolean(value)
                    .ok_or_else(|| format!("invalid value for required: {value}"))?;
            }
            ("name", Some(value)) => match &name {
                Some(set) => return Err(format!("device name already set to {set}").into()),
                None => name = Some(value.to_owned()),
            },
            // A qualified name holds `=` itself: `vendor.com/class=name`.
            _ if name.is_none() => name = Some(field),
            (_, None) => {
                return Err(format!("invalid field '{field}' must be a key=value pair").into());
            }
            (key, Some(_)) => {
                let nearest = suggest::nearest(key, ["name", "required"]);
                return Err(Refused::with(format!("unexpected key '{key}' in '{field}'"), nearest));
            }
        }
    }
    let name = name.filter(|name| !name.is_empty());
    Ok(Device { name: name.ok_or_else(|| format!("--device={text} names no device"))?, required })
}
