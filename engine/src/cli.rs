//! The command line: docker's words.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Images and containers without a daemon
#[derive(Parser, Debug)]
#[command(
    name = "tare",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Cli {
    /// Directory of images and containers (TARE_ROOT; /var/lib/tare for root)
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Directory of what lives as long as the machine runs
    #[arg(long, hide = true, value_name = "DIR")]
    pub run_root: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a program from an image
    #[command(disable_help_flag = true)]
    Run(Box<Run>),
    /// List containers
    Ps(Ps),
    /// Remove one or more containers
    Rm(Rm),
    /// Make an image of what a container has changed
    Commit(Commit),
    /// Write a container's files as an archive
    Export(Export),
    /// List what a container has changed
    Diff(Container),
    /// Download an image from a registry
    Pull(Pull),
    /// Send an image to a registry
    Push(Push),
    /// Write images to an archive
    Save(Save),
    /// Read images from an archive
    Load(Load),
    /// Make an image of an archive of a file system
    Import(Import),
    /// List images
    Images(Images),
    /// Remove one or more images
    Rmi(Remove),
    /// Give an image another name
    Tag(Tag),
    /// Show all that is known of images, as JSON
    Inspect(Inspect),
    /// Show how an image was made
    History(History),
    /// Log in to a registry
    Login(Login),
    /// Log out from a registry
    Logout(Logout),
    /// Manage images
    #[command(subcommand)]
    Image(Image),
    /// Write the completions of a shell to standard output
    Completion {
        /// bash, elvish, fish, powershell, zsh
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory
        directory: PathBuf,
    },
    /// Keep a container paused until standard input ends
    #[command(hide = true)]
    KeepPaused {
        /// Its id
        id: String,
    },
}

#[derive(Subcommand, Debug)]
pub enum Image {
    /// Download an image from a registry
    Pull(Pull),
    /// Send an image to a registry
    Push(Push),
    /// Write images to an archive
    Save(Save),
    /// Read images from an archive
    Load(Load),
    /// Make an image of an archive of a file system
    Import(Import),
    /// List images
    #[command(visible_alias = "list")]
    Ls(Images),
    /// Remove one or more images
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Give an image another name
    Tag(Tag),
    /// Show all that is known of images, as JSON
    Inspect(Inspect),
    /// Show how an image was made
    History(History),
    /// Remove images that have no name
    Prune(Prune),
    /// List what refers to an image at its registry: signatures, attestations, lists of its parts
    Referrers(Referrers),
    /// Show what images take on the disk
    Df,
}

#[derive(Args, Debug)]
pub struct Run {
    /// Give the program what is typed
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the program a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// A name for the container
    #[arg(long)]
    pub name: Option<String>,
    /// Write the container's id to a file, which must not be there
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// NAME=VALUE, or NAME with the value that it has here
    #[arg(short, long, value_name = "VARIABLE")]
    pub env: Vec<String>,
    /// Where the program begins
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// USER[:GROUP], names or numbers
    #[arg(short, long)]
    pub user: Option<String>,
    /// The program instead of the image's
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// HOST:CONTAINER[:OPTIONS], a directory or file of this machine
    #[arg(short, long, value_name = "BIND")]
    pub volume: Vec<String>,
    /// none or host
    #[arg(long, default_value = "none")]
    pub network: String,
    /// The container's host name
    #[arg(short = 'h', long)]
    pub hostname: Option<String>,
    /// CONTAINER:HOST:COUNT, user ids of the container's own; again for more of them
    #[arg(long, value_name = "MAP")]
    pub uidmap: Vec<String>,
    /// The same of groups; without it they are as the users
    #[arg(long, value_name = "MAP")]
    pub gidmap: Vec<String>,
    /// Let nothing be written to the root
    #[arg(long)]
    pub read_only: bool,
    /// Of another machine, OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    pub platform: Option<String>,
    /// Say nothing of a pull
    #[arg(short, long)]
    pub quiet: bool,
    /// Name or id
    pub image: String,
    /// The program's words instead of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    #[arg(long, action = clap::ArgAction::Help, help = "Print help")]
    pub help: Option<bool>,
}

#[derive(Args, Debug)]
pub struct Ps {
    /// Those that have ended too
    #[arg(short, long)]
    pub all: bool,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// Ids and commands in full
    #[arg(long)]
    pub no_trunc: bool,
    /// `json`: a line of JSON for each container
    #[arg(long)]
    pub format: Option<String>,
}

#[derive(Args, Debug)]
pub struct Rm {
    /// Names or ids
    #[arg(required = true)]
    pub containers: Vec<String>,
    /// Also those that run, which are killed
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct Container {
    /// Name or id
    pub container: String,
}

#[derive(Args, Debug)]
pub struct Commit {
    /// Name or id
    pub container: String,
    /// NAME[:TAG]
    pub name: Option<String>,
    /// An instruction of a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER, WORKDIR, STOPSIGNAL
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// What the history says of it
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Whose image it is
    #[arg(short, long, default_value = "")]
    pub author: String,
    /// Whether a running container is paused meanwhile
    #[arg(short, long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub pause: bool,
}

#[derive(Args, Debug)]
pub struct Export {
    /// Name or id
    pub container: String,
    /// The file, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Pull {
    /// NAME[:TAG] or NAME@DIGEST
    pub image: String,
    /// Say nothing but the image's full name
    #[arg(short, long)]
    pub quiet: bool,
    /// For another machine, OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    pub platform: Option<String>,
    /// Keep the compressed layers too, so that they can be pushed and saved as they came
    #[arg(long)]
    pub keep_blobs: bool,
    /// Layers at once
    #[arg(long, value_name = "N")]
    pub parallel: Option<usize>,
}

#[derive(Args, Debug)]
pub struct Push {
    /// NAME[:TAG]
    pub image: String,
    /// Say nothing but the image's full name
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct Save {
    /// Names or ids
    #[arg(required = true)]
    pub images: Vec<String>,
    /// The file, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Load {
    /// The file, instead of standard input; compressed by gzip, zstd, bzip2, xz or not at all
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Of several, the image for this machine, OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    pub platform: Option<String>,
    /// Say nothing
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct Import {
    /// The file, or - for standard input
    pub source: String,
    /// NAME[:TAG]
    pub name: Option<String>,
    /// An instruction of a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER, WORKDIR, STOPSIGNAL
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// What the history says of it
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// For which machine it is, OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    pub platform: Option<String>,
}

#[derive(Args, Debug)]
pub struct Images {
    /// Only images of this name
    pub repository: Option<String>,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// Show digests
    #[arg(long)]
    pub digests: bool,
    /// Ids in full
    #[arg(long)]
    pub no_trunc: bool,
    /// `json`: a line of JSON for each image
    #[arg(long)]
    pub format: Option<String>,
}

#[derive(Args, Debug)]
pub struct Remove {
    /// Names or ids
    #[arg(required = true)]
    pub images: Vec<String>,
    /// Also when the image has other names
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct Tag {
    /// Name or id
    pub source: String,
    /// NAME[:TAG]
    pub target: String,
}

#[derive(Args, Debug)]
pub struct Inspect {
    /// Names or ids
    #[arg(required = true)]
    pub images: Vec<String>,
}

#[derive(Args, Debug)]
pub struct History {
    /// Name or id
    pub image: String,
    /// Commands in full
    #[arg(long)]
    pub no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct Login {
    /// The registry (Docker's own)
    pub server: Option<String>,
    /// The account's name
    #[arg(short, long)]
    pub username: Option<String>,
    /// The password; others on this machine may see it
    #[arg(short, long)]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Args, Debug)]
pub struct Logout {
    /// The registry (Docker's own)
    pub server: Option<String>,
}

#[derive(Args, Debug)]
pub struct Prune {
    /// Also images that have a name and no container
    #[arg(short, long)]
    pub all: bool,
    /// Don't ask
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct Referrers {
    /// NAME[:TAG] or NAME@DIGEST, which need not be in the store
    pub image: String,
    /// Only those of a type
    #[arg(long, value_name = "TYPE")]
    pub artifact_type: Option<String>,
    /// `json`: a line of JSON for each
    #[arg(long)]
    pub format: Option<String>,
}
