//! Acts: tries who we are at a registry; asks what a name means there.

use super::endpoint::HUB;
use super::tokens::Issuer;
use super::wire::{Call, Repository};
use super::{Credentials, DistributionInfo, LoginAnswer, Registries, challenge};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Config, ManifestOrIndex, Platform, Reference, media_type};
use std::collections::BTreeSet;

/// Where docker's clients say that Docker Hub is.
const HUB_NAMES: [&str; 4] =
    ["index.docker.io", "registry-1.docker.io", "docker.io", "registry.hub.docker.com"];
/// The longest configuration that is read to learn a platform.
const CONFIG_LIMIT: u64 = 4 << 20;

/// A server as people and `config.json` write it (`https://index.docker.io/v1/`), as references name it.
fn registry_of(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || HUB_NAMES.contains(&host) { HUB } else { host }
}

/// Tries credentials at a registry (`docker.io`, `host`, `host:port`, or a URL of it).
pub async fn login(
    registries: &Registries,
    registry: &str,
    credentials: &Credentials,
) -> Result<LoginAnswer, Fault> {
    let registry = registry_of(registry);
    let host = if registry == HUB { "https://index.docker.io/v1/" } else { registry };
    let repository = Repository::new(registries, registry, "", credentials);
    let endpoints = repository.endpoints(false)?;
    let endpoint = endpoints.first().ok_or_else(|| Fault::internal("no server to ask"))?;
    let succeeded = |identity_token: String| LoginAnswer {
        status: "Login Succeeded".to_owned(),
        identity_token,
    };
    let call = Call::of_base("log in", 2);
    // Asked as nobody first, so that what the registry wants is known.
    let shared = &repository.shared;
    let answer = shared.send(endpoint, &Credentials::Anonymous, &call).await;
    let refuse = |fault: Fault| match fault.kind() {
        Kind::Unauthorized | Kind::Forbidden => Fault::new(
            Kind::Unauthorized,
            format!(
                "Get \"https://{}/v2/\": unauthorized: incorrect username or password",
                endpoint.host
            ),
        )
        .with_source(fault)
        .with_hint(format!("see that user and password are those of `{host}`")),
        _ => fault,
    };
    let bearer = match answer {
        Ok(answer) if answer.status() == 200 => None,
        Ok(answer) if answer.status() == 401 => {
            let challenges = answer
                .response
                .headers()
                .get_all("www-authenticate")
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(challenge::parse);
            challenges.filter(|one| one.scheme == "bearer").find_map(|one| {
                Some(Issuer {
                    realm: one.parameter("realm")?.to_owned(),
                    service: one.parameter("service").map(str::to_owned),
                })
            })
        }
        Ok(answer) if answer.status() == 404 => {
            return Err(Fault::not_found(format!(
                "`{}` is no registry: it has no /v2/",
                endpoint.host
            ))
            .with_hint("see that host and port are those of the registry"));
        }
        Ok(answer) => return Err(answer.refuse(call.attempt, repository.patience()).await),
        // An issuer that gives nobody a token is asked again as somebody.
        Err(fault) if matches!(fault.kind(), Kind::Unauthorized | Kind::Forbidden) => None,
        Err(fault) => return Err(fault),
    };
    let issuer = bearer.or_else(|| shared.issuer(endpoint));
    if let Some(issuer) = issuer {
        let scheme = shared.scheme(endpoint);
        let offline = matches!(credentials, Credentials::Basic { .. });
        let token = shared
            .fetch_token(&issuer, &BTreeSet::new(), credentials, (scheme, &endpoint.host), offline)
            .await
            .map_err(refuse)?;
        // A registry that knows the token agrees that this is somebody.
        let answer = shared.send(endpoint, credentials, &call).await.map_err(refuse)?;
        return match answer.status() {
            200 => Ok(succeeded(token.refresh.unwrap_or_default())),
            _ => Err(refuse(answer.refuse(call.attempt, repository.patience()).await)),
        };
    }
    let answer = shared.send(endpoint, credentials, &call).await.map_err(refuse)?;
    match answer.status() {
        200 => Ok(succeeded(String::new())),
        _ => Err(refuse(answer.refuse(call.attempt, repository.patience()).await)),
    }
}

/// Asks what a name means at its registry, without fetching the image.
pub async fn inspect_distribution(
    registries: &Registries,
    reference: &Reference,
    credentials: &Credentials,
) -> Result<DistributionInfo, Fault> {
    let repository =
        Repository::new(registries, reference.registry(), reference.repository(), credentials);
    let reference = reference.clone().or_latest();
    let text = match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    };
    let raw = repository.manifest(&text).await?;
    let descriptor = raw.descriptor();
    let platforms = match ManifestOrIndex::parse(&raw.bytes)? {
        ManifestOrIndex::Index(index) => {
            index.manifests.into_iter().filter_map(|entry| entry.platform).collect()
        }
        ManifestOrIndex::Manifest(manifest)
            if media_type::is_config(&manifest.config.media_type)
                && manifest.config.size <= CONFIG_LIMIT =>
        {
            let bytes = repository.small_blob(&manifest.config).await?;
            let config: Option<Config> = serde_json::from_slice(&bytes).ok();
            config.iter().map(Config::platform).collect::<Vec<Platform>>()
        }
        ManifestOrIndex::Manifest(_) => Vec::new(),
    };
    Ok(DistributionInfo { descriptor, platforms })
}

#[cfg(test)]
mod tests {
    use super::registry_of;

    #[test]
    fn servers_are_known_by_all_their_names() {
        for (server, registry) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("r.example:5000", "r.example:5000"),
            ("https://r.example/", "r.example"),
            ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000"),
        ] {
            assert_eq!(registry_of(server), registry, "{server}");
        }
    }
}
