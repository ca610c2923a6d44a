//! Drives one future on this thread, which parks while the future has nothing to do; or lets a
//! runtime of the user's drive it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

type Runtime = Box<dyn Fn(Pin<&mut dyn Future<Output = ()>>) + Send + Sync>;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Lets a runtime drive the `async fn`s that run as tasks in this process, from now on.
///
/// Without it they are driven by the thread that runs the task, which parks while they wait: enough
/// for futures that need no particular runtime. `block_on` gets a task's future and returns when
/// that is ready. Call it in an [`initializer`](crate::ProcessPoolExecutorBuilder::initializer), so that
/// every worker has its runtime before its first task. Returns false, and changes nothing, if there
/// is one already.
///
/// ```standalone_crate
/// use procession::ProcessPoolExecutor;
/// use std::time::Duration;
///
/// #[procession::task]
/// fn start_tokio() -> Result<(), procession::Failure> {
///     let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
///     procession::set_worker_runtime(move |task| tokio.block_on(task));
///     Ok(())
/// }
///
/// #[procession::task]
/// async fn nap(ms: u64) -> u64 {
///     tokio::time::sleep(Duration::from_millis(ms)).await;
///     ms
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).initializer(start_tokio, ()).build()?;
///     assert_eq!(pool.submit(nap, 5)?.wait()?, 5);
///     Ok(())
/// }
/// ```
pub fn set_worker_runtime(
    block_on: impl Fn(Pin<&mut dyn Future<Output = ()>>) + Send + Sync + 'static,
) -> bool {
    RUNTIME.set(Box::new(block_on)).is_ok()
}

/// Drives a task's future: by the runtime that was set, or here.
pub(super) fn drive<F: Future>(future: F) -> F::Output {
    let Some(runtime) = RUNTIME.get() else {
        return block_on(future);
    };
    let mut value = None;
    {
        let mut task = pin!(async { value = Some(future.await) });
        runtime(task.as_mut());
    }
    // The task's panic is caught and sent to the caller, like any other.
    value.expect("the worker's runtime returned before the task's future was ready")
}

/// Polls `future` until it has a value, here.
fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Arc::new(Parker {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(parker.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        parker.park();
    }
}

/// The flag is ours because the thread's own parking token is not: the function may park and
/// unpark for its own ends, and take a token that was meant for us.
struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Parker {
    fn park(&self) {
        while !self.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{poll_fn, ready};

    #[test]
    fn a_ready_future_is_polled_once() {
        assert_eq!(block_on(ready(7)), 7);
    }

    #[test]
    fn a_future_may_be_woken_while_it_is_polled() {
        let mut polls = 0;
        let value = block_on(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 100 {
                Poll::Pending
            } else {
                Poll::Ready(polls)
            }
        }));
        assert_eq!(value, 100);
    }

    #[test]
    fn a_future_may_be_woken_from_another_thread() {
        let mut started = false;
        let done = Arc::new(AtomicBool::new(false));
        block_on(poll_fn(|context| {
            if done.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            if !started {
                started = true;
                let (waker, done) = (context.waker().clone(), done.clone());
                thread::spawn(move || {
                    done.store(true, Ordering::Release);
                    waker.wake();
                });
            }
            Poll::Pending
        }));
    }

    #[test]
    fn a_wake_survives_a_parking_token_taken_by_the_future_itself() {
        let mut polls = 0;
        block_on(poll_fn(|context| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            thread::park();
            Poll::Pending
        }));
    }
}
