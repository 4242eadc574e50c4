//! The steps of one vector: what is fed, what has to come, and nothing else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::compare_sip::{self, Context};
use super::compare_xml;
use super::gateway::{Gateway, Output};
use super::meta::{Meta, Setup, Step};
use super::names::Names;
use super::sip::Sip;
use super::substitute::{self, Asked};
use super::volatile::Volatile;

const OUTPUTS_WITHIN: Duration = Duration::from_secs(6);
const NOTHING_FOR: Duration = Duration::from_secs(5);
const QUIET_AFTER: Duration = Duration::from_secs(1);

struct Run<'a> {
    folder: &'a Path,
    meta: &'a Meta,
    volatile: &'a Volatile,
    gateway: Gateway,
    names: Names,
    /// Requests of the gateway: as expected and as they were.
    asked: Vec<Asked>,
    /// How many of them were looked at for an answer.
    answered: usize,
}

/// Runs all steps; the first that differs ends the run with its differences.
pub(crate) fn run(
    folder: &Path,
    meta: &Meta,
    setup: &Setup,
    volatile: &Volatile,
) -> Result<(), Vec<String>> {
    let gateway = Gateway::new(setup).map_err(|error| vec![error])?;
    let names = Names::default();
    let mut run = Run {
        folder,
        meta,
        volatile,
        gateway,
        names,
        asked: Vec::new(),
        answered: 0,
    };
    for (number, step) in (1..).zip(&setup.before) {
        let inputs: Vec<String> = step.input.iter().cloned().collect();
        let found = run.step(step, &inputs, false);
        found.map_err(|found| in_step(&format!("step {number}"), found))?;
        let next = setup.before.get(number).map(|next| next.input.as_ref());
        let next = next.unwrap_or_else(|| meta.inputs.first());
        run.answer_notifications(next)
            .map_err(|error| vec![format!("step {number}: {error}")])?;
    }
    let own = Step {
        input: None,
        wait: setup.wait,
        advance: setup.advance,
        outputs: meta.outputs.clone(),
    };
    let omits_answer = setup.omits.iter().any(|omitted| omitted == "answer");
    run.step(&own, &meta.inputs, omits_answer)?;
    run.nothing_more()
}

fn in_step(step: &str, differences: Vec<String>) -> Vec<String> {
    differences
        .into_iter()
        .map(|difference| format!("{step}: {difference}"))
        .collect()
}

impl Run<'_> {
    fn step(
        &mut self,
        step: &Step,
        inputs: &[String],
        omits_answer: bool,
    ) -> Result<(), Vec<String>> {
        let one = |difference: String| vec![difference];
        self.gateway.run(Duration::from_secs(step.wait), |_| false);
        let early = actual(self.gateway.take());
        if let Some(output) = early.first() {
            return Err(one(format!("left during the wait: {}", output.show())));
        }
        let mut requests = Vec::new();
        for input in inputs {
            requests.extend(self.feed(input).map_err(one)?);
        }
        if let Some(advance) = step.advance {
            self.gateway
                .run(Duration::from_secs(advance), |outputs| !outputs.is_empty());
        }
        let outputs = self
            .collect(step.outputs.len(), &requests, omits_answer)
            .map_err(one)?;
        self.compare(&step.outputs, outputs)
    }

    /// Waits for a second behind the last output, in which nothing may come.
    fn nothing_more(&mut self) -> Result<(), Vec<String>> {
        self.gateway.run(QUIET_AFTER, |_| false);
        let more = actual(self.gateway.take());
        let more: Vec<_> = more.iter().map(Output::show).collect();
        if more.is_empty() {
            return Ok(());
        }
        Err(vec![format!("nothing more expected: {}", more.join("; "))])
    }

    /// Feeds a file, with real names in the place of expected ones; returns the request it is.
    fn feed(&mut self, file: &str) -> Result<Option<Sip>, String> {
        let bytes = self.read(file)?;
        if file.ends_with(".xml") {
            let text = substitute::stanza(&lossy(&bytes), &mut self.names)?;
            self.gateway.feed_xmpp(&text)?;
            return Ok(None);
        }
        let message = substitute::message(Sip::read(&bytes)?, &mut self.names, &self.asked);
        self.gateway.feed_sip(&message.write())?;
        Ok((!message.is_response()).then_some(message))
    }

    /// Waits for as many outputs as are expected.
    fn collect(
        &mut self,
        expected: usize,
        requests: &[Sip],
        omits_answer: bool,
    ) -> Result<Vec<Output>, String> {
        let is_answer = |output: &Output| {
            omits_answer && requests.iter().any(|request| answers(output, request))
        };
        let answers = if omits_answer { requests.len() } else { 0 };
        let done = |outputs: &[Output]| {
            let counted = outputs.iter().filter(|output| counts(output));
            let (omitted, printed): (Vec<_>, Vec<_>) =
                counted.partition(|output| is_answer(output));
            printed.len() >= expected.max(1) && omitted.len() >= answers
        };
        let limit = if expected == 0 {
            NOTHING_FOR
        } else {
            OUTPUTS_WITHIN
        };
        self.gateway.run(limit, done);
        let outputs = actual(self.gateway.take());
        let (omitted, printed): (Vec<_>, Vec<_>) = outputs.into_iter().partition(is_answer);
        if omitted.len() != answers {
            return Err(format!(
                "{} answers to the input, expected {answers}",
                omitted.len()
            ));
        }
        Ok(printed)
    }

    /// Compares what came with what had to come: in order within one side.
    fn compare(&mut self, files: &[String], outputs: Vec<Output>) -> Result<(), Vec<String>> {
        let mut differences = Vec::new();
        let (xmpp, sip): (Vec<_>, Vec<_>) = outputs
            .into_iter()
            .partition(|output| matches!(output, Output::Xmpp(_)));
        let (mut xmpp, mut sip) = (xmpp.into_iter(), sip.into_iter());
        for file in files {
            let found = match if file.ends_with(".xml") {
                xmpp.next()
            } else {
                sip.next()
            } {
                Some(Output::Xmpp(text)) => self.compare_stanza(file, &text),
                Some(Output::Sip(bytes)) => self.compare_message(file, &bytes),
                None => Err("did not come".to_owned()),
            };
            let found = found.unwrap_or_else(|error| vec![error]);
            differences.extend(in_step(file, found));
        }
        let unexpected = xmpp
            .chain(sip)
            .map(|output| format!("nothing more expected: {}", output.show()));
        differences.extend(unexpected);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences)
        }
    }

    fn compare_stanza(&mut self, file: &str, actual: &str) -> Result<Vec<String>, String> {
        let expected = lossy(&self.read(file)?);
        Ok(compare_xml::stanzas(&expected, actual, &mut self.context()))
    }

    fn compare_message(&mut self, file: &str, actual: &[u8]) -> Result<Vec<String>, String> {
        let (expected, actual) = (Sip::read(&self.read(file)?)?, Sip::read(actual)?);
        let differences = compare_sip::compare(&expected, &actual, &mut self.context());
        if !expected.is_response() {
            self.asked.push(Asked { expected, actual });
        }
        Ok(differences)
    }

    /// Answers every NOTIFY that was compared, but for the one that the next input answers.
    fn answer_notifications(&mut self, next: Option<&String>) -> Result<(), String> {
        let next = match next.filter(|file| file.ends_with(".sip")) {
            Some(file) => Some(Sip::read(&self.read(file)?)?),
            None => None,
        };
        let is_answered = |asked: &Asked| {
            let expected = &asked.expected;
            next.as_ref().is_some_and(|next| {
                next.is_response()
                    && next.branch() == expected.branch()
                    && next.cseq() == expected.cseq()
            })
        };
        let open: Vec<Vec<u8>> = self
            .asked
            .iter()
            .skip(self.answered)
            .filter(|asked| asked.actual.method() == "NOTIFY" && !is_answered(asked))
            .map(|asked| asked.actual.success().write())
            .collect();
        self.answered = self.asked.len();
        open.iter()
            .try_for_each(|answer| self.gateway.feed_sip(answer))
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            names: &mut self.names,
            volatile: self.volatile,
            notes: &self.meta.notes,
        }
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, String> {
        fs::read(self.folder.join(file)).map_err(|error| format!("{file}: {error}"))
    }
}

impl Output {
    fn show(&self) -> String {
        match self {
            Self::Sip(bytes) => lossy(bytes).lines().next().unwrap_or_default().to_owned(),
            Self::Xmpp(text) => text.clone(),
        }
    }
}

/// Whether an output is one: a SIP 100 is none.
fn counts(output: &Output) -> bool {
    match output {
        Output::Sip(bytes) => !bytes.starts_with(b"SIP/2.0 100 "),
        Output::Xmpp(_) => true,
    }
}

fn actual(outputs: Vec<Output>) -> Vec<Output> {
    outputs.into_iter().filter(counts).collect()
}

/// Whether an output is the final answer to `request`.
fn answers(output: &Output, request: &Sip) -> bool {
    let Output::Sip(bytes) = output else {
        return false;
    };
    Sip::read(bytes).is_ok_and(|sip| {
        sip.status().is_some_and(|status| status >= 200)
            && sip.branch() == request.branch()
            && sip.call_id() == request.call_id()
            && sip.cseq() == request.cseq()
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
