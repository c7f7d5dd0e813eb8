//! The process of a slave node: carries out what [`crate::worker`] decides.
//!
//! One thread decides; one thread per pipe listens. Every child's end is an event like any other.

use std::{
    collections::BTreeMap,
    io::{self, BufReader},
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    message::{
        Ask, FromGenerator, FromTrainer, Reply, Role, TellGenerator, TellTrainer, WorkerSetup,
        receive, send,
    },
    process::{Child, Said, end_with_parent, first_line},
    spool::Spool,
    trial::Slot,
    worker::{Action, Event, Worker},
};

/// Time between two reports to the master; few of them extend the leases.
const REPORT: Duration = Duration::from_millis(500);

/// How long trainings may take to come to the end of an epoch when the node must leave; engines give it two
/// minutes in all.
const LEAVE: Duration = Duration::from_secs(90);

enum Happened {
    Above(Said<Reply>),
    Generator(Said<FromGenerator>),
    Trainer(Slot, Said<FromTrainer>),
}

struct WorkerProcess {
    setup: WorkerSetup,
    program: PathBuf,
    worker: Worker,
    spool: Spool,
    generator: Option<Child>,
    trainers: BTreeMap<Slot, Child>,
    events: Sender<Happened>,
    upward: Upward,
}

/// How a worker asks.
pub(crate) enum Upward {
    /// Its master, on standard output.
    Pipe,
    /// A desk in the same process.
    Desk {
        /// Goes straight there.
        asks: Sender<Ask>,
        /// Goes there when the weights are where they should be.
        finishes: Sender<Ask>,
    },
}

impl Upward {
    fn ask(&self, message: &Ask) -> io::Result<()> {
        match self {
            Upward::Pipe => send(&mut io::stdout().lock(), message),
            Upward::Desk { asks, finishes } => {
                let way = match message.stored() {
                    Some(_) => finishes,
                    None => asks,
                };
                way.send(message.clone())
                    .map_err(|_| io::Error::other("the desk is closed"))
            }
        }
    }
}

/// Runs a worker on standard input and output until its master says stop or is gone.
///
/// # Errors
/// If it cannot start its children, or they die without work again and again.
pub fn run() -> io::Result<()> {
    end_with_parent();
    let mut input = BufReader::new(io::stdin());
    let setup: WorkerSetup = first_line(&mut input)?;
    let (replies, heard) = channel();
    thread::spawn(move || {
        // The loop ends with the worker: nobody listens any more, and nobody needs to.
        while let Ok(Some(reply)) = receive::<Reply>(&mut input) {
            if replies.send(reply).is_err() {
                return;
            }
        }
    });
    work(setup, Upward::Pipe, heard, &AtomicBool::new(false))
}

/// Works until what answers says stop or is gone, or `leave` is set.
///
/// # Errors
/// As for [`run`].
pub(crate) fn work(
    setup: WorkerSetup,
    upward: Upward,
    replies: Receiver<Reply>,
    leave: &AtomicBool,
) -> io::Result<()> {
    let (events, happenings) = channel();
    let from_above = events.clone();
    thread::spawn(move || {
        for reply in replies {
            if from_above
                .send(Happened::Above(Said::Message(reply)))
                .is_err()
            {
                return;
            }
        }
        let _ = from_above.send(Happened::Above(Said::End));
    });
    let mut process = WorkerProcess {
        worker: Worker::new(setup.slots, setup.rungs),
        spool: Spool::at(&setup.spool),
        program: std::env::current_exe()?,
        setup,
        generator: None,
        trainers: BTreeMap::new(),
        events,
        upward,
    };
    process.start_all()?;
    process.serve(&happenings, leave)
}

/// Whether the loop goes on.
enum Then {
    GoOn,
    Leave,
}

impl WorkerProcess {
    fn start_all(&mut self) -> io::Result<()> {
        self.upward.ask(&Ask::Hello {
            slots: self.setup.slots,
        })?;
        for slot in 0..self.setup.slots {
            self.start_trainer(Slot(slot))?;
        }
        self.start_generator()
    }

    fn serve(&mut self, happenings: &Receiver<Happened>, leave: &AtomicBool) -> io::Result<()> {
        let mut report_due = Instant::now() + REPORT;
        let mut leaving_since = None;
        loop {
            let patience = report_due.saturating_duration_since(Instant::now());
            let event = match happenings.recv_timeout(patience) {
                Ok(happened) => match self.event(happened) {
                    Some(event) => event,
                    // Nobody answers any more: this worker ends, too.
                    None => return Ok(()),
                },
                Err(RecvTimeoutError::Timeout) => {
                    report_due = Instant::now() + REPORT;
                    Event::Tick
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut actions = self.worker.step(event);
            if leave.load(Ordering::Relaxed) {
                let since = *leaving_since.get_or_insert_with(|| {
                    actions.extend(self.worker.step(Event::Leave));
                    Instant::now()
                });
                if since.elapsed() > LEAVE {
                    return Ok(());
                }
            }
            for action in actions {
                if let Then::Leave = self.carry_out(action)? {
                    return Ok(());
                }
            }
        }
    }

    /// What happened, in the words of the step function; `None` when the master is gone.
    fn event(&mut self, happened: Happened) -> Option<Event> {
        Some(match happened {
            Happened::Above(Said::Message(reply)) => Event::Reply(Box::new(reply)),
            Happened::Above(Said::End) => return None,
            Happened::Generator(Said::Message(said)) => {
                // A generator that has to be started again goes on where this one was.
                self.setup.generator.proposals_made += 1;
                Event::Generator(said)
            }
            Happened::Generator(Said::End) => {
                let buried = self.generator.take().map(|mut child| child.bury());
                Event::GeneratorDied {
                    message: buried.map_or(String::new(), |(_, words)| words),
                }
            }
            Happened::Trainer(slot, Said::Message(said)) => Event::Trainer(slot, said),
            Happened::Trainer(slot, Said::End) => {
                let (cause, message) = self.trainers.remove(&slot).expect("it was started").bury();
                Event::TrainerDied {
                    slot,
                    cause,
                    message,
                }
            }
        })
    }

    fn carry_out(&mut self, action: Action) -> io::Result<Then> {
        match action {
            Action::Ask(message) => self.upward.ask(&message)?,
            Action::TellGenerator(message) => {
                if let Some(generator) = &mut self.generator {
                    generator.tell(&message);
                }
            }
            Action::TellTrainer(slot, message) => {
                if let Some(trainer) = self.trainers.get_mut(&slot) {
                    trainer.tell(&message);
                }
            }
            Action::StartGenerator => self.start_generator()?,
            Action::StartTrainer(slot) => self.start_trainer(slot)?,
            // Where there is no room for it, the result is told all the same: it is lost only if this machine dies
            // before it is heard.
            Action::Spool(spooled) => drop(self.spool.put(&spooled)),
            Action::Unspool(lease) => self.spool.remove(lease)?,
            Action::Leave => return Ok(Then::Leave),
            Action::GiveUp { message } => return Err(io::Error::other(message)),
        }
        Ok(Then::GoOn)
    }

    fn start_trainer(&mut self, slot: Slot) -> io::Result<()> {
        let wrap = move |said| Happened::Trainer(slot, said);
        let mut child = Child::start(&self.program, "trainer", self.events.clone(), wrap)?;
        let setup = Box::new(self.setup.trainer.clone());
        child.tell(&TellTrainer::Setup { setup });
        self.upward.ask(&Ask::Started {
            role: Role::Trainer { slot },
            process: child.id(),
        })?;
        self.trainers.insert(slot, child);
        Ok(())
    }

    fn start_generator(&mut self) -> io::Result<()> {
        let events = self.events.clone();
        let mut child = Child::start(&self.program, "generator", events, Happened::Generator)?;
        let setup = Box::new(self.setup.generator.clone());
        child.tell(&TellGenerator::Setup { setup });
        self.upward.ask(&Ask::Started {
            role: Role::Generator,
            process: child.id(),
        })?;
        self.generator = Some(child);
        Ok(())
    }
}
