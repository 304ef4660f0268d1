//! Methods that the commands of this crate forward to [`std::process::Command`], written once.

/// Defines the forwarded methods in an `impl` block. The type must have the fields `command` (the
/// [`std::process::Command`]) and `set` (whether each standard stream has been set).
///
/// `cleared` is the name of a field that notes a cleared environment, or is empty. `output` is the
/// end of the sentences about standard output and standard error.
macro_rules! command_methods {
    (cleared: [$($cleared:ident)?], output: $output:literal) => {
        /// Adds an argument.
        pub fn arg(&mut self, argument: impl AsRef<::std::ffi::OsStr>) -> &mut Self {
            self.command.arg(argument);
            self
        }

        /// Adds several arguments.
        pub fn args(
            &mut self,
            arguments: impl IntoIterator<Item: AsRef<::std::ffi::OsStr>>,
        ) -> &mut Self {
            self.command.args(arguments);
            self
        }

        /// Sets an environment variable.
        pub fn env(
            &mut self,
            name: impl AsRef<::std::ffi::OsStr>,
            value: impl AsRef<::std::ffi::OsStr>,
        ) -> &mut Self {
            self.command.env(name, value);
            self
        }

        /// Sets several environment variables.
        pub fn envs<K: AsRef<::std::ffi::OsStr>, V: AsRef<::std::ffi::OsStr>>(
            &mut self,
            variables: impl IntoIterator<Item = (K, V)>,
        ) -> &mut Self {
            self.command.envs(variables);
            self
        }

        /// Removes an environment variable.
        pub fn env_remove(&mut self, name: impl AsRef<::std::ffi::OsStr>) -> &mut Self {
            self.command.env_remove(name);
            self
        }

        /// Removes all environment variables, also those that the program would inherit.
        pub fn env_clear(&mut self) -> &mut Self {
            $(self.$cleared = true;)?
            self.command.env_clear();
            self
        }

        /// Sets the source of standard input.
        pub fn stdin(&mut self, from: impl Into<::std::process::Stdio>) -> &mut Self {
            self.set[0] = true;
            self.command.stdin(from);
            self
        }

        #[doc = concat!("Sets the destination of standard output", $output, ".")]
        pub fn stdout(&mut self, to: impl Into<::std::process::Stdio>) -> &mut Self {
            self.set[1] = true;
            self.command.stdout(to);
            self
        }

        #[doc = concat!("Sets the destination of standard error", $output, ".")]
        pub fn stderr(&mut self, to: impl Into<::std::process::Stdio>) -> &mut Self {
            self.set[2] = true;
            self.command.stderr(to);
            self
        }

        /// Returns the program, as it was passed to `command`.
        #[must_use]
        pub fn get_program(&self) -> &::std::ffi::OsStr {
            self.command.get_program()
        }
    };
}

pub(crate) use command_methods;
