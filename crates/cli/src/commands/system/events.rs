//! Acts: `events`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::timestamp;
use crate::printer;
use crate::render::{template, units};
use naru_api_types::Query;
use naru_api_types::event::Event;
use naru_errdefs::Fault;
use serde_json::json;
use time::OffsetDateTime;

pub(super) fn events(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let now = OffsetDateTime::now_utc();
    let moment = |long: &str| flags.parsed(long, |text| timestamp::parse(text, now));
    let query = Query::new()
        .with_some("since", moment("since")?)
        .with_some("until", moment("until")?)
        .with_filters(&super::prune::filters(flags)?);
    let format = flags.text("format").filter(|format| !format.is_empty());
    let template = match format {
        None | Some("json") => None,
        Some(source) => {
            Some(template::compile(source).map_err(|error| Fault::invalid(error.message))?)
        }
    };
    app.talk(async |client| {
        let mut lines = client.events(&query).await?;
        while let Some(event) = lines.next::<Event>().await? {
            let line = match (&template, format) {
                (Some(template), _) => template::render(template, &json!(event))
                    .map_err(|error| Fault::invalid(error.message))?,
                (None, Some(_)) => json!(event).to_string(),
                (None, None) => show(&event),
            };
            printer::out(&format!("{line}\n"))?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// Pure: `2026-01-02T15:04:05.000000000Z container start ID (image=x, name=y)`.
fn show(event: &Event) -> String {
    let attributes: Vec<String> =
        event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let attributes =
        if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    let nanos = if event.time_nano == 0 {
        i128::from(event.time) * 1_000_000_000
    } else {
        i128::from(event.time_nano)
    };
    format!(
        "{} {} {} {}{attributes}",
        units::rfc3339_nano(nanos),
        event.r#type,
        event.action,
        event.actor.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_api_types::event::Actor;

    #[test]
    fn an_event_is_a_line() {
        let event = Event {
            r#type: "container".to_owned(),
            action: "start".to_owned(),
            actor: Actor {
                id: "abc".to_owned(),
                attributes: [
                    ("name".to_owned(), "web".to_owned()),
                    ("image".to_owned(), "x".to_owned()),
                ]
                .into(),
            },
            time: 1_700_000_000,
            ..Event::default()
        };
        assert_eq!(
            show(&event),
            "2023-11-14T22:13:20.000000000Z container start abc (image=x, name=web)"
        );
    }
}
