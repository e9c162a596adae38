//! `r5flow rollback`

use super::args::Rollback;
use super::failure::{Exit, Failure};
use super::resume::{self, Going};
use super::session::{self, RollbackOrder};
use super::settings::Settings;

pub fn rollback(args: &Rollback, settings: &Settings) -> Result<Exit, Failure> {
    let going = Going {
        run: Some(&args.run),
        take_over: args.take_over,
        edited: false,
        driving: &args.driving,
    };
    let (resume, speaker) = resume::order(&going, settings)?;
    let order = RollbackOrder {
        resume,
        to: args.to.clone(),
        dry_run: args.dry_run,
    };
    match session::rollback(&order, &speaker) {
        Ok(_) if args.dry_run => Ok(Exit::Done),
        Ok(report) => speaker.ended(&report),
        Err(_) if speaker.declined() => Err(Failure::new(Exit::Cancelled, "nothing was undone")),
        Err(error) => Err(Failure::of(error, settings)),
    }
}
