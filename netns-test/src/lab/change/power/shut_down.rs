//! Ends of programs on a node: all of them in an orderly way before the power goes, or one of them
//! by name.

use std::time::Duration;

use crate::error::{Failure, Result, located};
use crate::lab::run::node::Node;
use crate::lab::topology::NodeKind;
use crate::sys::ns::inhabitants;

impl Node {
    /// Shuts the node down: sends SIGTERM to all programs on it and to the processes that they have
    /// started, waits until they have ended, at most for `timeout`, and then [powers the node
    /// off](crate::Lab::power_off), which kills the rest. While the programs end, the network
    /// works: peers get their last messages and the FIN of their connections.
    ///
    /// Returns what had to be killed, such as `my-server (process 12)`: programs that ignore
    /// SIGTERM, or need longer. Tasks and threads of the test on the node get no signal.
    ///
    /// # Errors
    ///
    /// A node that is off, is [frozen](Self::freeze), or is the caller's own network; a process
    /// that the test may not signal; and the errors of [`power_off`](crate::Lab::power_off).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
    /// let killed = lab[server].shut_down(std::time::Duration::from_secs(10))?;
    /// assert!(killed.is_empty(), "these have ignored SIGTERM: {killed:?}");
    /// lab.power_on(server)?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn shut_down(&self, timeout: Duration) -> Result<Vec<String>> {
        located(self.try_shut_down(timeout))
    }

    fn try_shut_down(&self, timeout: Duration) -> Result<Vec<String>> {
        let (step, node) = ("shut down", self.live());
        let here = node.here()?;
        if node.kind() == NodeKind::Local {
            return Err(Failure::new(step, node.name(), "it is the caller's own network").into());
        }
        if node.is_frozen() {
            let failure = Failure::new(step, node.name(), "it is frozen, and handles no signal");
            return Err(failure.advise("`thaw` it first").into());
        }
        let programs = &self.common.programs;
        // Also programs that have moved to another network.
        let running = || programs.running_on(node.name()).iter().map(|one| one.pid()).collect();
        let network = here.place.network();
        let killed = inhabitants::terminate_all(network, running, timeout)?;
        self.fabric().power_off(programs, self.fabric().plan.id(self.position()))?;
        Ok(killed)
    }

    /// Kills the programs of this name on the node with SIGKILL, and waits for their end. The name
    /// is that given to [`command`](Self::command), or the part after its last slash. Processes
    /// that they have started run on.
    ///
    /// # Errors
    ///
    /// A name that no running program on the node has; the error lists those that run, with the
    /// most similar name first. EPERM for a program that has changed its user.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
    /// let mut command = lab[server].command("nginx");
    /// let _first = command.spawn()?;
    /// lab[server].kill("nginx")?;
    /// let _second = command.spawn()?; // The same command again.
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn kill(&self, program: &str) -> Result<()> {
        located(self.try_kill(program))
    }

    fn try_kill(&self, name: &str) -> Result<()> {
        let running = self.common.programs.running_on(self.name());
        let (own, others): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|one| is_called(one.name(), name));
        if own.is_empty() {
            let object = format!("`{name}` on {}", self.name());
            let failure = Failure::new("kill", object, "no program of this name runs there");
            let mut names: Vec<&str> = others.iter().map(|one| short(one.name())).collect();
            names.sort_by_key(|one| (distance(one, name), *one));
            names.dedup();
            let advice = match names.as_slice() {
                [] => "no program of the lab runs on it".to_owned(),
                [first, ..] if distance(first, name) <= name.len() / 2 => {
                    format!("did you mean `{first}`? programs that run: {}", names.join(", "))
                }
                _ => format!("programs that run: {}", names.join(", ")),
            };
            return Err(failure.advise(advice).into());
        }
        own.iter().try_for_each(|one| one.kill_and_wait())
    }
}

fn is_called(program: &str, name: &str) -> bool {
    program == name || short(program) == name
}

/// Returns the part after the last slash.
fn short(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Returns the number of letters to insert, remove or replace that make one text of another one.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = line + 1;
        for (column, b) in other.iter().enumerate() {
            let replaced = before + usize::from(a != *b);
            before = row[column + 1];
            row[column + 1] = replaced.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_near() {
        assert_eq!(distance("nginx", "nginx"), 0);
        assert_eq!(distance("nginx", "ngnix"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("sleep", "slep"), 1);
    }
}
