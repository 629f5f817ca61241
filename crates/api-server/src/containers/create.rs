//! Acts: create and update.

use crate::body::Presence;
use crate::convert::create as convert;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::refuse;
use crate::reply::{self, Reply};
use http::StatusCode;
use naru_api_types::container::{ContainerCreateResponse, UpdateResponse};
use naru_engine::Containers;
use naru_errdefs::Fault;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) async fn create(containers: &Containers, call: Call) -> Result<Reply, Refusal> {
    let name = call.query.text("name").map(str::to_owned);
    check_platform(call.query.text("platform"))?;
    let value: Value = call.json(Presence::Required).await?;
    let says_nothing = |value: &Value| match value {
        Value::Object(body) => {
            body.keys().all(|key| matches!(key.as_str(), "HostConfig" | "NetworkingConfig"))
        }
        other => other.is_null(),
    };
    if says_nothing(&value) {
        return Err(Fault::invalid("config cannot be empty in order to create a container").into());
    }
    refuse::create(&value)?;
    let request = convert::request(name.as_deref(), typed(value)?)?;
    let created = containers.create(request).await?;
    let body = ContainerCreateResponse { id: created.id, warnings: created.warnings };
    Ok(reply::json(StatusCode::CREATED, &body))
}

/// Only images of the host's own kind run.
fn check_platform(platform: Option<&str>) -> Result<(), Fault> {
    let Some(platform) = platform else { return Ok(()) };
    let mut words = platform.split('/');
    let (os, arch) = (words.next().unwrap_or_default(), words.next());
    let own = naru_oci::Platform::host();
    if os == own.os && arch.is_none_or(|arch| arch == own.architecture) {
        return Ok(());
    }
    Err(Fault::unsupported(format!("platform `{platform}` is not supported"))
        .with_hint(format!("this host runs `{}/{}`", own.os, own.architecture)))
}

pub(crate) async fn update(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let value: Value = call.json(Presence::Required).await?;
    refuse::update(&value)?;
    let (limits, policy) = convert::update(typed(value)?)?;
    let warnings = containers.update(name, limits, policy).await?;
    Ok(reply::ok(&UpdateResponse { warnings: Some(warnings) }))
}

/// JSON of the right shape, or a refusal that names the field that is not.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    let error = match T::deserialize(&value) {
        Ok(typed) => return Ok(typed),
        Err(error) => error,
    };
    let field = culprit::<T>(&value).map(|field| format!(" in `{field}`")).unwrap_or_default();
    Err(Fault::invalid(format!("invalid JSON{field}: {error}")))
}

/// The field that alone fails too, and the field of it.
fn culprit<T: DeserializeOwned>(value: &Value) -> Option<String> {
    let fails = |value: Value| T::deserialize(value).is_err();
    let (name, inner) = value
        .as_object()?
        .iter()
        .find(|(name, inner)| fails(json!({ *name: (*inner).clone() })))?;
    let below = inner.as_object().into_iter().flatten();
    let part = below
        .map(|(part, deepest)| (part, json!({ name: { part: deepest.clone() } })))
        .find(|(_, alone)| fails(alone.clone()));
    Some(match part {
        Some((part, _)) => format!("{name}.{part}"),
        None => name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_api_types::container::ContainerCreateRequest;

    #[track_caller]
    fn check(body: Value, want: &str) {
        let refused = typed::<ContainerCreateRequest>(body).unwrap_err();
        assert!(refused.message().starts_with(want), "{refused}");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        check(json!({"Image": 1}), "invalid JSON in `Image`: invalid type: integer `1`");
        check(json!({"Image": "a", "Cmd": [1]}), "invalid JSON in `Cmd`: ");
        check(json!({"HostConfig": {"Memory": "much"}}), "invalid JSON in `HostConfig.Memory`: ");
        check(json!({"HostConfig": 7}), "invalid JSON in `HostConfig`: ");
    }
}
