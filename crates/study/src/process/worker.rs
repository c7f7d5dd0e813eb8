//! The process of a slave node: carries out what [`crate::worker`] decides.
//!
//! One thread decides; one thread per pipe listens. Every child's end is an event like any other.

use std::{
    collections::BTreeMap,
    io::{self, BufReader},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
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

/// Time between two reports to the master; it extends the leases at every thirtieth.
const REPORT: Duration = Duration::from_millis(500);

enum Happened {
    Master(Said<Reply>),
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
}

/// Runs a worker on standard input and output until its master says stop or is gone.
///
/// # Errors
/// If it cannot start its children, or they die without work again and again.
pub fn run() -> io::Result<()> {
    end_with_parent();
    let mut input = BufReader::new(io::stdin());
    let setup: WorkerSetup = first_line(&mut input)?;
    let (events, happenings) = channel();
    let from_master = events.clone();
    thread::spawn(move || {
        while let Ok(Some(reply)) = receive::<Reply>(&mut input) {
            if from_master
                .send(Happened::Master(Said::Message(reply)))
                .is_err()
            {
                return;
            }
        }
        // The loop ends with the worker: nobody listens any more, and nobody needs to.
        let _ = from_master.send(Happened::Master(Said::End));
    });
    let mut process = WorkerProcess {
        worker: Worker::new(setup.slots, setup.rungs),
        spool: Spool::at(&setup.spool),
        program: std::env::current_exe()?,
        setup,
        generator: None,
        trainers: BTreeMap::new(),
        events,
    };
    process.start_all()?;
    process.serve(&happenings)
}

/// Whether the loop goes on.
enum Then {
    GoOn,
    Leave,
}

impl WorkerProcess {
    fn start_all(&mut self) -> io::Result<()> {
        ask(&Ask::Hello {
            slots: self.setup.slots,
        })?;
        for slot in 0..self.setup.slots {
            self.start_trainer(Slot(slot))?;
        }
        self.start_generator()
    }

    fn serve(&mut self, happenings: &Receiver<Happened>) -> io::Result<()> {
        let mut report_due = Instant::now() + REPORT;
        loop {
            let patience = report_due.saturating_duration_since(Instant::now());
            let event = match happenings.recv_timeout(patience) {
                Ok(happened) => match self.event(happened) {
                    Some(event) => event,
                    // The master is gone, and this process with it.
                    None => return Ok(()),
                },
                Err(RecvTimeoutError::Timeout) => {
                    report_due = Instant::now() + REPORT;
                    Event::Tick
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            for action in self.worker.step(event) {
                if let Then::Leave = self.carry_out(action)? {
                    return Ok(());
                }
            }
        }
    }

    /// What happened, in the words of the step function; `None` when the master is gone.
    fn event(&mut self, happened: Happened) -> Option<Event> {
        Some(match happened {
            Happened::Master(Said::Message(reply)) => Event::Reply(Box::new(reply)),
            Happened::Master(Said::End) => return None,
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
            Action::Ask(message) => ask(&message)?,
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
            Action::Spool(spooled) => self.spool.put(&spooled)?,
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
        ask(&Ask::Started {
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
        ask(&Ask::Started {
            role: Role::Generator,
            process: child.id(),
        })?;
        self.generator = Some(child);
        Ok(())
    }
}

fn ask(message: &Ask) -> io::Result<()> {
    send(&mut io::stdout().lock(), message)
}
