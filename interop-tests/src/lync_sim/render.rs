//! What a client shows of a contact: the documents read as SIPE reads them, with what it ignores.

use anyhow::{Context, Result, bail};
use minidom::Element;

use super::message::Message;

/// The light beside a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Light {
    /// Grey.
    #[default]
    Offline,
    /// Green.
    Available,
    /// Green and yellow.
    Idle,
    /// Red.
    Busy,
    /// Red with a bar.
    DoNotDisturb,
    /// Yellow.
    BeRightBack,
    /// Yellow.
    Away,
}

/// A contact on the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Its light.
    pub light: Light,
    /// Its note.
    pub note: String,
    /// The token of what it does.
    pub token: String,
    /// Its name.
    pub name: String,
}

impl Rendered {
    /// Whether the light is on.
    pub fn is_online(&self) -> bool {
        self.light != Light::Offline
    }
}

impl Light {
    /// Of the state category and of `states/state`: by ranges.
    fn of_state(availability: u32) -> Self {
        match availability {
            3000..4500 => Self::Available,
            4500..6000 => Self::Idle,
            6000..9000 => Self::Busy,
            9000..12_000 => Self::DoNotDisturb,
            12_000..15_000 => Self::BeRightBack,
            15_000..18_000 => Self::Away,
            _ => Self::Offline,
        }
    }

    /// Of msrtc.pidf: the state number that SIPE makes of the two aggregates.
    fn state_of(availability: u32, activity: u32) -> u32 {
        let state = match activity {
            0..100 => 18_500,
            100..150 | 700..800 => 15_500,
            150..200 => 15_500,
            200..300 => 5000,
            300..400 => 12_500,
            400..500 | 800.. => 3500,
            500..700 => 6500,
        };
        if availability < 100 { 18_500 } else { state }
    }
}

/// Reads the document of a notification; none where there is no body, which changes nothing. What
/// Subscription-State says is not looked at.
pub fn render(message: &Message, before: Option<&Rendered>) -> Result<Option<Rendered>> {
    if message.body.is_empty() {
        return Ok(None);
    }
    let text = message.text();
    // Real clients are told the encoding by the prolog, and some prologs lie.
    let body = text
        .split_once("?>")
        .map_or(text.as_str(), |(_, rest)| rest);
    let root = || body.trim().parse::<Element>().context("no XML");
    let rendered = match message.media().as_str() {
        "application/pidf+xml" => pidf(&root()?),
        "text/xml+msrtc.pidf" => msrtc(&root()?)?,
        "application/msrtc-event-categories+xml" => categories(&root()?, before),
        "application/xpidf+xml" => xpidf(body),
        other => bail!("a document that no client reads: {other:?}"),
    };
    Ok(Some(rendered))
}

/// The first tuple only; busy, away or simply there; no note.
fn pidf(root: &Element) -> Rendered {
    let status = path(root, &["tuple", "status"]);
    let basic = status.and_then(|status| child(status, "basic"));
    let activity = status.and_then(|status| path(status, &["activities", "activity"]));
    let word = activity.map(Element::text).unwrap_or_default();
    let light = match (basic.map(Element::text).as_deref(), word.trim()) {
        (Some("open"), "busy") => Light::Busy,
        (Some("open"), "away") => Light::Away,
        (Some("open"), _) => Light::Available,
        _ => Light::Offline,
    };
    let name = child(root, "display-name").map(Element::text);
    Rendered {
        light,
        name: name.unwrap_or_default(),
        ..Rendered::default()
    }
}

/// The aggregates, and the user's own state where its number is higher.
fn msrtc(root: &Element) -> Result<Rendered> {
    let aggregate = |name: &str| -> Result<u32> {
        let found = child(root, name).with_context(|| format!("no {name}"))?;
        let number = found.attr("aggregate").context("no aggregate")?;
        Ok(number.parse()?)
    };
    let mut number = Light::state_of(aggregate("availability")?, aggregate("activity")?);
    let info = child(root, "userInfo");
    let mut token = String::new();
    let states = info.and_then(|info| child(info, "states"));
    for state in states.into_iter().flat_map(Element::children) {
        let own = state.attr("avail").and_then(|number| number.parse().ok());
        let own: u32 = own.unwrap_or_default();
        if number < 18_000 && own > number {
            number = own;
            token = state.text();
        }
    }
    let note = info.and_then(|info| child(info, "note")).map(Element::text);
    let name = child(root, "displayName").and_then(|name| name.attr("displayName"));
    Ok(Rendered {
        light: Light::of_state(number),
        note: note.unwrap_or_default(),
        token,
        name: name.unwrap_or_default().to_owned(),
    })
}

/// Each category replaces what was known of it; others stay.
fn categories(root: &Element, before: Option<&Rendered>) -> Rendered {
    let mut rendered = before.cloned().unwrap_or_default();
    for category in root.children() {
        let content = category.children().next();
        match category.attr("name") {
            Some("state") => {
                let number = content.and_then(|state| child(state, "availability"));
                let number = number.and_then(|number| number.text().trim().parse().ok());
                rendered.light = number.map_or(Light::Offline, Light::of_state);
                let token = content
                    .and_then(|state| child(state, "activity"))
                    .and_then(|activity| activity.attr("token"));
                token.unwrap_or_default().clone_into(&mut rendered.token);
            }
            Some("note") => {
                let body = content.and_then(|note| child(note, "body"));
                rendered.note = body.map(Element::text).unwrap_or_default();
            }
            Some("contactCard") => {
                let name =
                    content.and_then(|card| path(card, &["identity", "name", "displayName"]));
                rendered.name = name.map(Element::text).unwrap_or_default();
            }
            _ => {}
        }
    }
    rendered
}

/// `status="open|inuse|closed"` of the first address; the DOCTYPE is skipped.
fn xpidf(body: &str) -> Rendered {
    let status = body.split_once("status=\"").map_or("", |(_, rest)| rest);
    let light = match status.split('"').next() {
        Some("open") => Light::Available,
        Some("inuse" | "inactive") => Light::Busy,
        _ => Light::Offline,
    };
    Rendered {
        light,
        ..Rendered::default()
    }
}

fn child<'a>(of: &'a Element, name: &str) -> Option<&'a Element> {
    of.children().find(|child| child.name() == name)
}

fn path<'a>(of: &'a Element, names: &[&str]) -> Option<&'a Element> {
    names.iter().try_fold(of, |of, name| child(of, name))
}

#[cfg(test)]
mod tests {
    use super::super::documents::{Form, State};
    use super::*;

    fn shown(form: Form, state: &State) -> Result<Rendered> {
        let mut message = Message::request("NOTIFY", "sip:a@b");
        let document = form.write("bob@lync.example", "Bob \"<x>\"", "0a", state);
        message.carry(form.media(), document);
        render(&message, None)?.context("a document")
    }

    #[test]
    fn a_client_shows_what_a_server_writes() -> Result<()> {
        let lights = [
            (3500, Light::Available),
            (5000, Light::Idle),
            (6500, Light::Busy),
            (9500, Light::DoNotDisturb),
            (12_500, Light::BeRightBack),
            (15_500, Light::Away),
            (18_500, Light::Offline),
        ];
        for (number, light) in lights {
            let state = State::new(number, "", "at <desk> & co");
            for form in [Form::Categories, Form::Msrtc] {
                let rendered = shown(form, &state)?;
                assert_eq!(rendered.light, light, "{form:?} {number}");
                assert_eq!(rendered.name, "Bob \"<x>\"");
                let is_told = rendered.note == "at <desk> & co";
                assert!(is_told || light == Light::Offline);
            }
        }
        Ok(())
    }

    #[test]
    fn pidf_knows_busy_and_away_only() -> Result<()> {
        let state = |number| State::new(number, "", "a note");
        assert_eq!(shown(Form::Pidf, &state(9500))?.light, Light::Busy);
        assert_eq!(shown(Form::Pidf, &state(12_500))?.light, Light::Away);
        assert_eq!(shown(Form::Pidf, &state(3500))?.light, Light::Available);
        assert_eq!(shown(Form::Pidf, &state(3500))?.note, "");
        assert_eq!(shown(Form::Pidf, &state(18_500))?.light, Light::Offline);
        Ok(())
    }
}
