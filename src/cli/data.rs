//! `limn data`: known datasets.

use super::data_show::{self, ShowArgs};
use super::{Error, examples, term};
use crate::data::{self, KnownSet, Progress, Whereabouts};
use serde_json::json;

/// Arguments of `limn data`.
#[derive(clap::Args, Debug)]
pub struct DataArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    #[command(after_help = examples::DATA_LIST)]
    /// List the datasets limn knows by name, and where they are
    List {
        /// One JSON object per dataset
        #[arg(long)]
        json: bool,
    },
    #[command(after_help = examples::DATA_GET)]
    /// Fetch a dataset into the cache folder ($LIMN_CACHE, or limn in the user's cache)
    Get {
        /// mnist, fashion-mnist, cifar10 or all
        name: String,
    },
    #[command(after_help = examples::DATA_SHOW)]
    /// Write a picture of the images a model is trained on, exactly as it takes them, and say how
    /// many there are, of what size and of which classes
    Show(ShowArgs),
    #[command(after_help = examples::DATA_CLEAN)]
    /// Remove the decoded sets that are kept so that later starts need not decode again
    Clean,
}

/// Lists or fetches.
pub fn data(args: &DataArgs) -> Result<(), Error> {
    match &args.command {
        Command::List { json } => list(*json),
        Command::Get { name } if name == "all" => {
            let failed: Vec<Error> = data::list()
                .iter()
                .filter(|entry| entry.place != Whereabouts::BuiltIn)
                .filter_map(|entry| get(entry.name).err())
                .collect();
            let words: Vec<String> = failed.iter().map(Error::to_string).collect();
            if words.is_empty() { Ok(()) } else { Err(Error::new(words.join("\nlimn: "))) }
        }
        Command::Get { name } => get(name),
        Command::Show(args) => data_show::show(args),
        Command::Clean => {
            let (sets, bytes) = data::clean(&data::cache_dir()?)?;
            term::say(format!("removed {sets} decoded set{}, {}", if sets == 1 { "" } else { "s" }, term::size(bytes)))
        }
    }
}

fn list(json: bool) -> Result<(), Error> {
    let entries = data::list();
    if json {
        return entries.iter().try_for_each(|entry| term::say(object(entry)));
    }
    let head = ["name", "train", "test", "size", "where", "licence", "source"].map(String::from).to_vec();
    let row = |e: &KnownSet| {
        let place = match &e.place {
            Whereabouts::BuiltIn => "built in".into(),
            Whereabouts::Cached(folder) => folder.display().to_string(),
            Whereabouts::NotFetched => "not fetched".into(),
        };
        let counts = [e.train, e.test].map(|n| n.to_string());
        let [train, test] = counts;
        vec![e.name.into(), train, test, e.contents(), place, e.licence.into(), e.source.into()]
    };
    let rows: Vec<_> = std::iter::once(head).chain(entries.iter().map(row)).collect();
    term::table(&rows).iter().try_for_each(term::say)
}

fn object(e: &KnownSet) -> serde_json::Value {
    let (place, path) = match &e.place {
        Whereabouts::BuiltIn => ("built_in", None),
        Whereabouts::Cached(folder) => ("cached", Some(folder.display().to_string())),
        Whereabouts::NotFetched => ("not_fetched", None),
    };
    json!({
        "name": e.name, "train": e.train, "test": e.test, "channels": e.geometry.channels,
        "height": e.geometry.height, "width": e.geometry.width, "place": place, "path": path,
        "contents": e.contents(), "licence": e.licence, "source": e.source,
    })
}

fn get(name: &str) -> Result<(), Error> {
    let mut bar = term::Progress::new();
    let mut step = String::new();
    let folder = data::get(name, &mut |progress| match progress {
        Progress::Step(words) => {
            bar.clear();
            term::note(&words);
            step = words;
        }
        Progress::Bytes { done, total } => {
            let total = total.map(|n| format!(" of {}", term::size(n))).unwrap_or_default();
            bar.show(format!("{step}: {}{total}", term::size(done)));
        }
    });
    bar.clear();
    term::say(format!("{name} is in {}", folder?.display()))
}
