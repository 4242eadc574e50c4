//! The operator's other way in: signals; and what systemd is told.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::admin::Order;

/// Time a signal gives to what is under way; TimeoutStopSec of the unit file is longer.
const GRACE: Duration = Duration::from_secs(45);

/// The signals that mean something to us.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Turns signals into orders; returns at the second one that asks for the end.
    pub async fn obey(mut self, orders: mpsc::Sender<Order>) {
        let mut ending = false;
        loop {
            let ends = tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => true,
                _ = self.hangup.recv() => false,
            };
            if ends && ending {
                return;
            }
            ending |= ends;
            let order = if ends { drain() } else { reload() };
            // While the daemon drains, nobody takes orders and none is needed.
            orders.try_send(order).ok();
        }
    }
}

fn drain() -> Order {
    notify(&[NotifyState::Stopping]);
    let (done, _) = oneshot::channel();
    Order::Drain {
        grace: GRACE,
        for_good: false,
        done,
    }
}

fn reload() -> Order {
    let (reply, _) = oneshot::channel();
    Order::Reload(reply)
}

/// Tells systemd that the daemon is ready, and for ever that it still turns, as often as asked.
pub async fn keep_systemd_informed() {
    notify(&[NotifyState::Ready]);
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd; where there is none, nobody listens.
fn notify(state: &[NotifyState<'_>]) {
    sd_notify::notify(state).ok();
}
