"""Python's pools: one order a line, one answer a line, in seconds."""

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import (
    Array,
    Barrier,
    Lock,
    Manager,
    Pipe,
    Pool,
    Process,
    Queue,
    RawArray,
    RawValue,
    RLock,
    Value,
)

now = time.perf_counter


def noop(n):
    return n


def echo(data):
    return data


def spin(ns):
    begun = time.perf_counter_ns()
    while time.perf_counter_ns() - begun < ns:
        pass


def echo_messages(connection):
    try:
        while True:
            connection.send(connection.recv())
    except EOFError:
        pass


def put_all(queue, start, count, size):
    item = b"\x07" * size
    start.wait()
    for _ in range(count):
        queue.put(item)


def get_all(queue, start, count):
    start.wait()
    for _ in range(count):
        queue.get()


def ask_all(shared, start, count):
    shared["key"]
    start.wait()
    for _ in range(count):
        shared["key"]


def count_by_lock(lock, total, start, count, times, place):
    start.wait()
    times[2 * place] = now()
    for _ in range(count):
        with lock:
            total.value += 1
    times[2 * place + 1] = now()


def took(what):
    begun = now()
    what()
    return now() - begun


class Pools:
    def __init__(self, workers):
        self.workers = workers
        self.executor = None
        self.pool = None

    def get(self, which):
        if which == "executor":
            if self.executor is None:
                self.executor = ProcessPoolExecutor(self.workers)
                list(self.executor.map(noop, range(self.workers)))
            return self.executor
        if self.pool is None:
            self.pool = Pool(self.workers)
            self.pool.map(noop, range(self.workers))
        return self.pool

    def hello(self):
        return [1]

    def trips(self, which, count):
        pool = self.get(which)
        one = (lambda n: pool.submit(noop, n).result()) if which == "executor" else (lambda n: pool.apply(noop, (n,)))
        took = []
        for n in range(int(count)):
            begun = now()
            one(n)
            took.append(now() - begun)
        took.sort()
        return [took[len(took) // 2], took[len(took) * 99 // 100]]

    def connection(self, count):
        ours, theirs = Pipe()
        process = Process(target=echo_messages, args=(theirs,))
        process.start()
        theirs.close()
        took = []
        for n in range(int(count)):
            begun = now()
            ours.send(n)
            ours.recv()
            took.append(now() - begun)
        # Forked, it has a copy of this end, too.
        process.terminate()
        process.join()
        took.sort()
        return [took[len(took) // 2], took[len(took) * 99 // 100]]

    def manager(self, count):
        with Manager() as manager:
            shared = manager.dict(key=7)
            took = []
            for n in range(int(count)):
                begun = now()
                shared["key"]
                took.append(now() - begun)
        took.sort()
        return [took[len(took) // 2], took[len(took) * 99 // 100]]

    def manager_clients(self, clients, count):
        clients, each = int(clients), int(count) // int(clients)
        with Manager() as manager:
            shared, start = manager.dict(key=7), Barrier(clients + 1)
            processes = [Process(target=ask_all, args=(shared, start, each)) for _ in range(clients)]
            for process in processes:
                process.start()
            start.wait()
            begun = now()
            for process in processes:
                process.join()
            return [now() - begun]

    def submits(self, which, count):
        pool, count = self.get(which), int(count)
        begun = now()
        if which == "executor":
            total = sum(done.result() for done in as_completed([pool.submit(noop, n) for n in range(count)]))
        else:
            total = sum(pool.imap_unordered(noop, range(count), chunksize=1))
        took = now() - begun
        assert total == count * (count - 1) // 2
        return [took]

    def map(self, which, count, chunksize):
        pool, count, chunksize = self.get(which), int(count), int(chunksize)
        begun = now()
        if which == "executor":
            total = sum(pool.map(noop, range(count), chunksize=chunksize))
        else:
            total = sum(pool.imap_unordered(noop, range(count), chunksize=chunksize))
        took = now() - begun
        assert total == count * (count - 1) // 2
        return [took]

    def echo(self, which, size, count):
        pool, data = self.get(which), b"\x07" * int(size)
        one = (lambda: pool.submit(echo, data).result()) if which == "executor" else (lambda: pool.apply(echo, (data,)))
        begun = now()
        for _ in range(int(count)):
            assert len(one()) == len(data)
        return [(now() - begun) / int(count)]

    def queue(self, putters, getters, size, capacity, count):
        puts, gets, count = int(putters), int(getters), int(count)
        queue, start = Queue(int(capacity)), Barrier(puts + gets + 1)
        putters = [Process(target=put_all, args=(queue, start, count // puts, int(size))) for _ in range(puts)]
        getters = [Process(target=get_all, args=(queue, start, count // gets)) for _ in range(gets)]
        for process in putters + getters:
            process.start()
        start.wait()
        begun = now()
        for process in getters + putters:
            process.join()
        return [now() - begun]

    def locks(self, count):
        lock, rlock, value = Lock(), RLock(), Value("Q", 0)

        def take(lock):
            for _ in range(int(count)):
                lock.acquire()
                lock.release()

        def update():
            for _ in range(int(count)):
                with value:
                    value.value += 1

        return [took(lambda: take(lock)), took(lambda: take(rlock)), took(update)]

    def contend(self, processes, count):
        processes, count = int(processes), int(count)
        lock, total, start = Lock(), RawValue("Q", 0), Barrier(processes)
        times = RawArray("d", 2 * processes)
        everybody = [
            Process(target=count_by_lock, args=(lock, total, start, count, times, place)) for place in range(processes)
        ]
        for process in everybody:
            process.start()
        for process in everybody:
            process.join()
        assert total.value == processes * count
        return [max(times[1::2]) - min(times[::2])]

    def array(self, length, slice, count, slices):
        length, slice, count, slices = int(length), int(slice), int(count), int(slices)

        def get(array):
            for n in range(count):
                array[n * 31 % length]

        def put(array):
            for n in range(count):
                array[n * 31 % length] = n

        def read(array):
            for n in range(slices):
                at = n * 31 % (length - slice)
                array[at : at + slice]

        arrays = [Array("d", length), RawArray("d", length)]
        return [took(lambda: what(array)) for array in arrays for what in (get, put, read)]

    def start(self, which, workers):
        begun = now()
        if which == "executor":
            with ProcessPoolExecutor(int(workers)) as pool:
                list(pool.map(noop, range(int(workers))))
                started = now()
        else:
            with Pool(int(workers)) as pool:
                pool.map(noop, range(int(workers)))
                started = now()
        return [started - begun, now() - started]


def main():
    pools = Pools(int(sys.argv[1]))
    for line in sys.stdin:
        what, *arguments = line.split()
        print(*getattr(pools, what)(*arguments), flush=True)
    if pools.executor is not None:
        pools.executor.shutdown()
    if pools.pool is not None:
        pools.pool.terminate()


if __name__ == "__main__":
    main()
