//! Acts: attach.

use crate::detach_keys::DetachKeys;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::hijack::Hijack;
use crate::reply::Reply;
use naru_api_types::ApiVersion;
use naru_engine::{AttachOptions, Attachment, Containers};

pub(crate) async fn attach(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let keys = DetachKeys::parse(call.query.get("detachKeys").unwrap_or_default())?;
    let options = AttachOptions {
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
        logs: call.query.flag("logs"),
        stream: call.query.flag("stream"),
    };
    let attachment = containers.attach(name, options).await?;
    Ok(hijack(attachment, keys, call.version))
}

/// The connection becomes the streams of an attachment.
pub(crate) fn hijack(attachment: Attachment, keys: DetachKeys, version: ApiVersion) -> Reply {
    Reply::Hijack(Hijack::new(attachment, keys, version >= ApiVersion::v1(42)))
}
