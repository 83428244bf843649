#!/usr/bin/env python3
"""The backoff-and-jitter simulation of AWS in plain Python: what the lab is measured against.

Clients contend for one row under optimistic concurrency control, and back off after each write
that comes too late; the model, with its numbers, of
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
A heap of events and the standard generator: the program that one would write first.

    benches/aws_model.py --clients 100 --strategy full --runs 200 --seed 1

Prints one JSON object: what a run came to (`calls` are the writes that reached the server, `time`
is when the last client was done, in the model's milliseconds), and how many writes and events a
second of processor time plays.
"""

import argparse
import heapq
import json
import math
import random
import statistics
import time

# A message is under way for |N(10, 2)|, each for itself.
DELAY_MEAN, DELAY_SD = 10.0, 2.0
BASE, CAP = 5.0, 2000.0

STRATEGIES = ("none", "expo", "full", "equal", "decorr")
READ, READ_ANSWER, WRITE, WRITE_ANSWER = range(4)


class Client:
    """What a client remembers: how often it failed, and how long it slept last."""

    def __init__(self):
        self.failures = 0
        self.slept = BASE

    def backoff(self, strategy, generator):
        """How long the next read is held back; the failure before it is counted already."""
        if strategy == "none":
            return 0.0
        if strategy == "decorr":
            self.slept = min(CAP, generator.uniform(BASE, 3.0 * self.slept))
            return self.slept
        # Of the failures only as many as a float can be doubled; the cap is reached long before.
        envelope = min(CAP, BASE * 2.0 ** min(self.failures, 64))
        if strategy == "expo":
            return envelope
        if strategy == "full":
            return generator.uniform(0.0, envelope)
        return envelope / 2.0 + generator.uniform(0.0, envelope / 2.0)


def play(clients, strategy, generator):
    """One run: how many writes came, when the last client was done, and how many events it took."""

    def arrival(now):
        return now + abs(generator.gauss(DELAY_MEAN, DELAY_SD))

    contenders = [Client() for _ in range(clients)]
    # The second place keeps events of one instant in the order in which they were made.
    queue = [(arrival(0.0), number, READ, number, 0) for number in range(clients)]
    heapq.heapify(queue)
    made = clients
    version = writes = events = 0
    now = 0.0
    while queue:
        now, _, kind, number, told = heapq.heappop(queue)
        events += 1
        if kind == READ:
            follows = (arrival(now), made, READ_ANSWER, number, version)
        elif kind == READ_ANSWER:
            follows = (arrival(now), made, WRITE, number, told)
        elif kind == WRITE:
            writes += 1
            succeeds = told == version
            if succeeds:
                version += 1
            follows = (arrival(now), made, WRITE_ANSWER, number, succeeds)
        elif told:
            continue
        else:
            client = contenders[number]
            client.failures += 1
            pause = client.backoff(strategy, generator)
            follows = (arrival(now) + pause, made, READ, number, 0)
        made += 1
        heapq.heappush(queue, follows)
    return writes, now, events


def summary(values):
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "sd": sd, "se": sd / math.sqrt(len(values))}


def measure(clients, strategy, runs, seed):
    """Plays so many runs, each with a generator of its own, and says what they took."""
    began = time.process_time()
    played = [play(clients, strategy, random.Random(f"{seed} {run}")) for run in range(runs)]
    spent = time.process_time() - began
    writes, times, events = zip(*played)
    return {
        "clients": clients,
        "strategy": strategy,
        "runs": runs,
        "seed": seed,
        "calls": summary(writes),
        "time": summary(times),
        "processor_seconds": spent,
        "writes_per_second": sum(writes) / spent,
        "events_per_second": sum(events) / spent,
    }


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


positive.__name__ = "number from 1"


def main():
    parser = argparse.ArgumentParser(
        description="Plays the backoff-and-jitter simulation of AWS in plain Python."
    )
    parser.add_argument("--clients", type=positive, default=100)
    parser.add_argument("--strategy", choices=STRATEGIES, default="full")
    parser.add_argument("--runs", type=positive, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(json.dumps(measure(given.clients, given.strategy, given.runs, given.seed)))


if __name__ == "__main__":
    main()
