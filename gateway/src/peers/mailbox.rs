//! How the task of a link is reached.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use translators::limits;
use translators::model::Mono;

/// What others leave for the task of a link.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    /// Requests of the other end that wait for their answers, in order.
    open: Mutex<BTreeMap<u64, Mono>>,
    wake: Notify,
}

/// What was left since the last look.
#[derive(Debug, Default)]
pub struct Mail {
    /// Inputs that need nothing more.
    pub settled: Vec<u64>,
    /// Identifiers of our pings that the peer answered on another link.
    pub answered: Vec<String>,
    /// Whether the link has to end in order.
    pub close: bool,
    /// Whether the other end has to be judged again, by the configuration in use now.
    pub review: bool,
    /// Whether the registry may have something to write.
    pub work: bool,
}

impl Mailbox {
    /// Takes what was left.
    pub fn take(&self) -> Mail {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until something is left.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// A request of the other end is to be answered.
    pub fn opens(&self, number: u64, now: Mono) {
        self.lock_open().insert(number, now);
    }

    /// How many such requests there are. One that nobody answers is not waited for for ever.
    pub(super) fn open(&self, now: Mono) -> usize {
        let mut open = self.lock_open();
        while let Some(first) = open.first_entry() {
            if now.since(*first.get()) < limits::TIMER_F {
                break;
            }
            first.remove();
        }
        open.len()
    }

    /// Ends the link in order.
    pub fn close(&self) {
        self.lock().close = true;
        self.wake.notify_one();
    }

    /// Has the other end judged again.
    pub(super) fn review(&self) {
        self.lock().review = true;
        self.wake.notify_one();
    }

    /// Inputs of the link need nothing more.
    pub(super) fn settle(&self, numbers: impl IntoIterator<Item = u64>) {
        let mut mail = self.lock();
        let known = mail.settled.len();
        mail.settled.extend(numbers);
        let mut open = self.lock_open();
        for number in mail.settled.iter().skip(known) {
            open.remove(number);
        }
        drop((mail, open));
        self.wake.notify_one();
    }

    /// A ping of the link was answered.
    pub(super) fn answer(&self, ping: String) {
        self.lock().answered.push(ping);
        self.wake.notify_one();
    }

    /// There is something to write.
    pub(super) fn wake(&self) {
        self.lock().work = true;
        self.wake.notify_one();
    }

    fn lock_open(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Mono>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
