//! Acts: the calls that talk to registries: pull, push, credentials, what a registry holds.

use crate::body::Presence;
use crate::convert::registry as convert;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::images::progress;
use crate::reply::{self, Reply};
use naru_api_types::registry::{AuthConfig, AuthResponse, DistributionInspect};
use naru_engine::Images;
use naru_engine::images::{Credentials, PullRequest, PushRequest};
use naru_errdefs::{Fault, Kind};

pub(crate) async fn pull(images: &Images, image: &str, call: &Call) -> Result<Reply, Refusal> {
    let (reference, all_tags) = convert::pulled(image, call.query.text("tag"))?;
    let request = PullRequest {
        reference,
        all_tags,
        platform: convert::platform(call.query.text("platform"))?,
        credentials: call.credentials().unwrap_or_default(),
        limit_rate: convert::limit_rate(&call.query)?,
    };
    progress(images.pull(request), false).await.map_err(Refusal::of_registry)
}

pub(crate) async fn push(images: &Images, name: &str, call: Call) -> Result<Reply, Refusal> {
    let (reference, all_tags) = convert::pushed(name, call.query.text("tag"))?;
    let platform = convert::platform(call.query.text("platform"))?;
    let limit_rate = convert::limit_rate(&call.query)?;
    // Clients of old sent the credentials as the body.
    let credentials = match call.credentials() {
        Some(credentials) => credentials,
        None => convert::credentials(old_body(call).await?),
    };
    let request = PushRequest { reference, all_tags, platform, credentials, limit_rate };
    progress(images.push(request), false).await.map_err(Refusal::of_registry)
}

async fn old_body(call: Call) -> Result<AuthConfig, Refusal> {
    let bytes = call.bytes().await?;
    serde_json::from_slice::<AuthConfig>(&bytes).map(AuthConfig::completed).map_err(|error| {
        let why = if bytes.is_empty() { "EOF".to_owned() } else { error.to_string() };
        Fault::invalid(format!("bad parameters and missing X-Registry-Auth: {why}"))
            .with_hint("send the header; `e30=` stands for nobody")
            .into()
    })
}

pub(crate) async fn auth(images: &Images, call: Call) -> Result<Reply, Refusal> {
    let auth: AuthConfig = call.json(Presence::Required).await?;
    let registry = convert::registry(&auth.serveraddress);
    let login = images.login(&registry, &convert::credentials(auth.completed())).await;
    let answer = login.map_err(|fault| match fault.kind() {
        Kind::Unauthorized => Refusal::Fault(fault),
        _ => Refusal::Registry(fault),
    })?;
    Ok(reply::ok(&AuthResponse { status: answer.status, identity_token: answer.identity_token }))
}

pub(crate) async fn distribution(
    images: &Images,
    name: &str,
    call: &Call,
) -> Result<Reply, Refusal> {
    let reference = name.parse::<naru_oci::Reference>()?.or_latest();
    let credentials = call.credentials().unwrap_or_default();
    let info = images
        .inspect_distribution(&reference, &credentials)
        .await
        .map_err(|fault| Refusal::of_registry(fault.into()))?;
    Ok(reply::ok(&DistributionInspect {
        descriptor: crate::convert::image::descriptor(&info.descriptor),
        platforms: info
            .platforms
            .iter()
            .map(|platform| serde_json::to_value(platform).unwrap_or_default())
            .collect(),
    }))
}

impl Call {
    /// Who the client is to the registry, as its header says. A header that is not understood says nothing, as in Docker.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let header = self.registry_auth()?;
        Some(convert::credentials(AuthConfig::decode(header).unwrap_or_default()))
    }
}
