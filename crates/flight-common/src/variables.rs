//! Variables of the environment. One that is set to nothing is as one that is not set: compose files and CI leave such
//! behind.

use clap::Command;
use clap::builder::Resettable;

/// What a variable says.
pub fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A command that does not look at variables which are set to nothing.
pub fn without_empty(command: Command) -> Command {
    without(command, &|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
}

fn without(command: Command, is_empty: &dyn Fn(&std::ffi::OsStr) -> bool) -> Command {
    let command = command.mut_args(|arg| match arg.get_env().is_some_and(is_empty) {
        true => arg.env(Resettable::Reset),
        false => arg,
    });
    command.mut_subcommands(|inner| without(inner, is_empty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn an_empty_variable_is_not_looked_at_however_deep_the_command_is() {
        let arg = || Arg::new("root").long("root").env("QUIVER_TEST_ROOT");
        let command = Command::new("a").arg(arg()).subcommand(Command::new("b").arg(arg()));
        let seen = |command: &Command| command.get_arguments().any(|arg| arg.get_env().is_some());
        let heard = without(command.clone(), &|_| false);
        assert!(seen(&heard) && heard.get_subcommands().all(seen));
        let unheard = without(command, &|name| name == "QUIVER_TEST_ROOT");
        assert!(!seen(&unheard) && !unheard.get_subcommands().any(seen));
    }
}
