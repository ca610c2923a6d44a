//! The typed calls once more, as methods of each executor, which are there without a trait in scope.

/// Gives an executor the calls of [`ExecutorExt`](crate::ExecutorExt) and [`Executor`](crate::Executor) as methods of its own, so that
/// they can be used without naming the traits.
macro_rules! executor_methods {
    ($executor:ty) => {
        impl $executor {
            /// Says more about a call than its arguments, before it is submitted: time limits, retries, a
            /// priority. See [`Call`](crate::Call).
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// let future = executor.call(add).retries(2).priority(1).submit((1, 2))?;
            /// assert_eq!(future.wait()?, 3);
            /// # Ok(())
            /// # }
            /// ```
            pub fn call<F: Copy>(&self, function: F) -> $crate::Call<'_, F> {
                const { $crate::registry::assert_zero_sized::<F>() };
                $crate::ExecutorExt::call(self, function)
            }

            /// Submits one call, and returns its [`Future`](crate::Future).
            ///
            /// `args` is `()` for a function of no arguments, the argument itself for one, and a tuple
            /// for several. They are encoded in the calling thread. While `max_pending` tasks are
            /// pending, this blocks; [`try_submit`](Self::try_submit) and
            /// [`submit_async`](Self::submit_async) do not.
            ///
            /// # Errors
            ///
            /// The function is not registered; the arguments do not encode, or (in debug builds) do
            /// not decode again, or are larger than `max_frame`; the executor has been shut down or is
            /// broken. Nothing was run then.
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// let future = executor.submit(add, (1, 2))?;
            /// assert_eq!(future.wait()?, 3);
            /// # Ok(())
            /// # }
            /// ```
            pub fn submit<F, A, K>(
                &self,
                function: F,
                args: A,
            ) -> Result<$crate::Future<F::Output>, $crate::SubmitError>
            where
                F: $crate::TaskFunction<A, K>,
            {
                const { $crate::registry::assert_zero_sized::<F>() };
                $crate::ExecutorExt::submit(self, function, args)
            }

            /// As [`submit`](Self::submit), but instead of blocking gives the arguments back.
            ///
            /// # Errors
            ///
            /// [`SubmitError::Full`](crate::SubmitError::Full) while `max_pending` tasks are pending;
            /// else as `submit`. The arguments are in the error.
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// match executor.try_submit(add, (1, 2)) {
            ///     Ok(future) => assert_eq!(future.wait()?, 3),
            ///     Err(refused) => println!("{:?} must wait: {}", refused.args, refused.reason),
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_submit<F, A, K>(
                &self,
                function: F,
                args: A,
            ) -> Result<$crate::Future<F::Output>, $crate::TrySubmitError<A>>
            where
                F: $crate::TaskFunction<A, K>,
            {
                const { $crate::registry::assert_zero_sized::<F>() };
                $crate::ExecutorExt::try_submit(self, function, args)
            }

            /// As [`submit`](Self::submit), but awaits room instead of blocking the thread.
            ///
            /// The arguments are encoded at once. Dropping the future before it is ready submits
            /// nothing.
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// # futures::executor::block_on(async {
            /// let future = executor.submit_async(add, (1, 2)).await?;
            /// assert_eq!(future.await?, 3);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # })?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn submit_async<F, A, K>(
                &self,
                function: F,
                args: A,
            ) -> impl std::future::Future<
                Output = Result<$crate::Future<F::Output>, $crate::SubmitError>,
            > + Send
            + use<F, A, K>
            where
                F: $crate::TaskFunction<A, K>,
            {
                const { $crate::registry::assert_zero_sized::<F>() };
                $crate::ExecutorExt::submit_async(self, function, args)
            }

            /// Submits a call to the function of this name, chosen when the program runs.
            ///
            /// The name of a function is `module_path!()::function`, or the one that it was given.
            ///
            /// # Errors
            ///
            /// No function has this name, or it was registered with other types; else as
            /// [`submit`](Self::submit).
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// let name = concat!(module_path!(), "::add");
            /// let future = executor.submit_by_name::<u64>(name, &(1_u64, 2_u64))?;
            /// assert_eq!(future.wait()?, 3);
            /// assert!(executor.submit_by_name::<u64>("nobody", &()).is_err());
            /// # Ok(())
            /// # }
            /// ```
            pub fn submit_by_name<R>(
                &self,
                name: &str,
                args: &(impl serde::Serialize + 'static),
            ) -> Result<$crate::Future<R>, $crate::SubmitError>
            where
                R: serde::de::DeserializeOwned + 'static,
            {
                $crate::ExecutorExt::submit_by_name(self, name, args)
            }

            /// Calls `function` for every item of `inputs`, and yields one `Result` for each, in the
            /// order of the items.
            ///
            /// Lazy: nothing is submitted until the first result is asked for. What comes back is an
            /// iterator and a stream, with options for chunks, order, the window and a time limit:
            /// see [`Map`](crate::Map). A function of several arguments takes tuples.
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// let sums: Result<Vec<u64>, _> = executor.map(add, [(1, 2), (3, 4)]).collect();
            /// assert_eq!(sums?, [3, 7]);
            /// # Ok(())
            /// # }
            /// ```
            pub fn map<F, A, K, I>(
                &self,
                function: F,
                inputs: I,
            ) -> $crate::Map<I::IntoIter, F::Output>
            where
                F: $crate::TaskFunction<A, K>,
                I: IntoIterator<Item = A>,
            {
                const { $crate::registry::assert_zero_sized::<F>() };
                $crate::ExecutorExt::map(self, function, inputs)
            }

            /// As [`map`](Self::map), over inputs that may fail themselves: an input's error surfaces
            /// in its place, and the map goes on.
            ///
            /// # Example
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// let lines = ["1", "two", "3"];
            /// let inputs = lines.iter().map(|line| line.parse().map(|n| (n, 10)));
            /// let sums: Vec<_> = executor.try_map(add, inputs).collect();
            /// assert_eq!(sums[2].as_ref().unwrap(), &13);
            /// assert!(matches!(sums[1], Err(procession::TryMapError::Input(_))));
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_map<F, A, K, I, E>(
                &self,
                function: F,
                inputs: I,
            ) -> $crate::TryMap<I::IntoIter, F::Output>
            where
                F: $crate::TaskFunction<A, K>,
                I: IntoIterator<Item = Result<A, E>>,
            {
                const { $crate::registry::assert_zero_sized::<F>() };
                $crate::ExecutorExt::try_map(self, function, inputs)
            }

            /// How many tasks can run at a time.
            ///
            /// ```
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// assert!(executor.max_workers() >= 1);
            /// # Ok(())
            /// # }
            /// ```
            pub fn max_workers(&self) -> usize {
                $crate::Executor::max_workers(self)
            }

            /// How many tasks are pending: queued or running. A chunk of `map` counts as one.
            ///
            /// ```
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// executor.submit(add, (1, 2))?.wait()?;
            /// assert_eq!(executor.pending(), 0);
            /// # Ok(())
            /// # }
            /// ```
            pub fn pending(&self) -> usize {
                $crate::Executor::pending(self)
            }

            /// Takes no more tasks, deals with the pending ones as told, and blocks until everything
            /// has ended, or until `deadline` has passed. Without a deadline it also waits for the
            /// callbacks of [`on_done`](crate::Future::on_done).
            ///
            /// Shutting down again is allowed, also with a stronger mode, and from several threads. On a
            /// thread that the end itself waits for it does not wait: see
            /// [`Executor::shutdown`](crate::Executor::shutdown). Submitting afterwards is refused with
            /// [`SubmitError::ShutDown`](crate::SubmitError::ShutDown).
            ///
            /// # Errors
            ///
            /// When `deadline` passes first: then what is left is ended as with
            /// [`Shutdown::Kill`](crate::Shutdown::Kill). (Threads cannot be killed: an executor of
            /// threads leaves them to end by themselves.)
            ///
            /// # Example
            ///
            /// ```
            /// use procession::Shutdown;
            /// # use std::time::Duration;
            ///
            /// #[procession::task]
            /// fn add(a: u64, b: u64) -> u64 {
            ///     a + b
            /// }
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// let future = executor.submit(add, (1, 2))?;
            /// executor.shutdown(Shutdown::Wait, Some(Duration::from_secs(60)))?;
            /// assert_eq!(future.wait()?, 3);
            /// assert!(executor.submit(add, (3, 4)).is_err());
            /// # Ok(())
            /// # }
            /// ```
            pub fn shutdown(
                &self,
                how: $crate::Shutdown,
                deadline: Option<std::time::Duration>,
            ) -> Result<(), $crate::ShutdownError> {
                $crate::Executor::shutdown(self, how, deadline)
            }

            /// As [`shutdown`](Self::shutdown), without blocking the thread, and without waiting for
            /// callbacks.
            ///
            /// It begins when the future is first polled. Dropping the future then stops the waiting,
            /// not the shutdown.
            ///
            /// # Example
            ///
            /// ```
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let executor = procession::InlineExecutor::new();
            /// # futures::executor::block_on(async {
            /// executor.shutdown_async(procession::Shutdown::Wait, None).await?;
            /// # Ok::<(), procession::ShutdownError>(())
            /// # })?;
            /// # Ok(())
            /// # }
            /// ```
            pub async fn shutdown_async(
                &self,
                how: $crate::Shutdown,
                deadline: Option<std::time::Duration>,
            ) -> Result<(), $crate::ShutdownError> {
                $crate::Executor::shutdown_async(self, how, deadline).await
            }
        }

        impl $crate::executor::erased::sealed::Sealed for $executor {}
    };
}

pub(crate) use executor_methods;
