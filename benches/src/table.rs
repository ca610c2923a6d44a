//! What is printed.

/// Those that are measured, in the order of the columns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Procession,
    Pipe,
    Executor,
    Pool,
    Procspawn,
    Rayon,
}

const COLUMNS: [Peer; 6] = [
    Peer::Procession,
    Peer::Pipe,
    Peer::Executor,
    Peer::Pool,
    Peer::Procspawn,
    Peer::Rayon,
];

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Procession => "procession",
            Self::Pipe => "bare pipe, socket, futex, process or copy",
            Self::Executor => "CPython ProcessPoolExecutor",
            Self::Pool => "multiprocessing (Pool, Pipe, Queue, Lock, Array)",
            Self::Procspawn => "procspawn",
            Self::Rayon => "rayon (threads)",
        }
    }
}

/// In what a figure is given.
#[derive(Clone, Copy)]
pub enum Unit {
    /// A time, in seconds.
    Seconds,
    /// So many in a second.
    Rate,
    /// Bytes in a second.
    Throughput,
    Bytes,
    Count,
}

pub struct Row {
    what: String,
    unit: Unit,
    cells: Vec<(Peer, Option<f64>)>,
}

/// What is to be reached.
struct Goal {
    what: String,
    is: f64,
    bound: f64,
    is_most: bool,
}

/// All that was found out.
pub struct Table {
    rows: Vec<Row>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

impl Table {
    pub fn new() -> Self {
        Self {
            rows: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A row. `None` says that a peer is not here; a peer that does not do such a thing is not named.
    pub fn row(&mut self, what: impl Into<String>, unit: Unit, cells: Vec<(Peer, Option<f64>)>) {
        let row = Row {
            what: what.into(),
            unit,
            cells,
        };
        eprintln!("  {}", row.text());
        self.rows.push(row);
    }

    pub fn at_most(&mut self, what: impl Into<String>, is: f64, bound: f64) {
        self.goal(what, is, bound, true);
    }

    pub fn at_least(&mut self, what: impl Into<String>, is: f64, bound: f64) {
        self.goal(what, is, bound, false);
    }

    fn goal(&mut self, what: impl Into<String>, is: f64, bound: f64, is_most: bool) {
        let goal = Goal {
            what: what.into(),
            is,
            bound,
            is_most,
        };
        eprintln!("  {}", goal.text());
        self.goals.push(goal);
    }

    /// What is to be reached says nothing of these figures.
    pub fn forget_goals(&mut self) {
        self.goals.clear();
    }

    /// Something that a figure does not say.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    pub fn print(&self) {
        let names = COLUMNS.map(Peer::name);
        println!("| | {} |", names.join(" | "));
        println!("|--|{}", "--:|".repeat(names.len()));
        for row in &self.rows {
            println!("{}", row.text());
        }
        if !self.goals.is_empty() {
            println!("\n| to reach | is | |\n|--|--:|--|");
        }
        for goal in &self.goals {
            println!("{}", goal.text());
        }
        if !self.notes.is_empty() {
            println!();
        }
        for note in &self.notes {
            println!("* {note}");
        }
    }
}

impl Row {
    fn text(&self) -> String {
        let cells =
            COLUMNS.map(
                |column| match self.cells.iter().find(|(peer, _)| *peer == column) {
                    None => String::new(),
                    Some((_, None)) => "skipped".to_owned(),
                    Some((_, Some(figure))) => self.unit.text(*figure),
                },
            );
        format!("| {} | {} |", self.what, cells.join(" | "))
    }
}

impl Goal {
    fn text(&self) -> String {
        let (sign, is_reached) = match self.is_most {
            true => ("≤", self.is <= self.bound),
            false => ("≥", self.is >= self.bound),
        };
        let verdict = if is_reached { "reached" } else { "**missed**" };
        format!(
            "| {} {sign} {} | {} | {verdict} |",
            self.what,
            short(self.bound),
            short(self.is)
        )
    }
}

impl Unit {
    fn text(self, figure: f64) -> String {
        match self {
            Self::Seconds if figure < 1e-3 => format!("{} µs", short(figure * 1e6)),
            Self::Seconds if figure < 1.0 => format!("{} ms", short(figure * 1e3)),
            Self::Seconds => format!("{} s", short(figure)),
            Self::Rate if figure >= 1e6 => format!("{} M/s", short(figure / 1e6)),
            Self::Rate if figure >= 1e3 => format!("{} k/s", short(figure / 1e3)),
            Self::Rate => format!("{} /s", short(figure)),
            Self::Throughput => format!("{} GB/s", short(figure / 1e9)),
            Self::Bytes if figure >= 1e6 => format!("{} MB", short(figure / 1e6)),
            Self::Bytes => format!("{} B", short(figure)),
            Self::Count => short(figure),
        }
    }
}

/// Three digits that count.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{figure:.2}"),
    }
}
