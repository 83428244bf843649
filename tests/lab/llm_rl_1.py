#!/usr/bin/env python3
"""LLM-RL-1 in plain Python: the baseline that the lab's anchor `llm-rl-1` is compared with.

A provider with a request quota and a token quota, a short outage, and fourteen client strategies.
Written from the description of the model alone, in seconds and double precision, on nothing but
`random`, `heapq` and `math`; it shares no line and no structure with the lab.  Its figures go to
src/lab/reproduce/llm_rl_1/baseline.json: mean, standard deviation, standard error and number of seeds
of every metric of every cell.  Any Python from 3.8 gives the same bytes.

    tests/lab/llm_rl_1.py                 40 seeds, all cells; some ten minutes of processor time
    tests/lab/llm_rl_1.py 4 /tmp/b.json   as many seeds, into another file
"""

import heapq
import json
import math
import multiprocessing
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
BASELINE = HERE.parent.parent / "src" / "lab" / "reproduce" / "llm_rl_1" / "baseline.json"
SEEDS = 40

STRATEGIES = [
    "none", "fixed", "expo", "full", "equal", "decorr", "full_ra", "sdk_ra",
    "limiter_shared_w10", "limiter_split_w10", "limiter_naive", "limiter_shared_w10_eta095",
    "budget10", "sre_k2",
]  # fmt: skip
# Load, outage, and whether a refusal costs a request.
GRID = [(load, outage, 0) for load in (0.8, 1.2, 1.5, 2.0) for outage in (0, 1)]
GRID += [(0.8, 1, 1), (1.2, 0, 1), (1.5, 0, 1), (2.0, 0, 1)]

REQUESTS_PER_S, REQUESTS_MOST = 10.0, 100.0
TOKENS_PER_S, TOKENS_MOST = 9000.0, 90000.0
OUTAGE_FROM, OUTAGE_UNTIL = 400.0, 460.0
REFUSAL_AFTER = 0.05
NETWORK_MOST = 0.1
CLIENTS = 50
ARRIVALS_PER_S = 9.0
HORIZON = 1000.0
PATIENCE = 60.0
ATTEMPTS_MOST = 6
WINDOW = 120.0
COHORT_FROM, COHORT_UNTIL = 100.0, 900.0

# What can happen: a request may go out (anew or again), an attempt reaches the provider, a refusal
# or a success comes back.
GO, REACH, REFUSED, ACCEPTED = range(4)


class Request:
    def __init__(self, arrival, client, cost):
        self.arrival, self.client, self.cost = arrival, client, cost
        self.deadline = arrival + PATIENCE
        self.attempts = self.n429 = self.n503 = 0
        self.end = self.latency = None
        # The last Retry-After (0 if there was none), and the last delay for decorrelated jitter.
        self.hint, self.slept = 0, 1.0


class Reservations:
    """Hands out departures by two buckets; whoever would wait too long is turned away."""

    def __init__(self, rates, capacities, wait_most):
        self.r_rate, self.q_rate = REQUESTS_PER_S * rates, TOKENS_PER_S * rates
        self.r_most, self.q_most = REQUESTS_MOST * capacities, TOKENS_MOST * capacities
        self.r, self.q, self.last, self.wait_most = self.r_most, self.q_most, 0.0, wait_most
        # How far departures have run ahead of the rates; in no interval may it pass the capacities.
        self.r_ahead = self.q_ahead = 0.0

    def departure(self, t, cost, deadline):
        start = max(t, self.last)
        r = min(self.r_most, self.r + self.r_rate * (start - self.last))
        q = min(self.q_most, self.q + self.q_rate * (start - self.last))
        wait = max(0.0, (1.0 - r) / self.r_rate, (cost - q) / self.q_rate)
        leave = start + wait
        if leave >= deadline or leave - t > self.wait_most:
            return None
        self.r_ahead = max(0.0, self.r_ahead - self.r_rate * (leave - self.last)) + 1.0
        self.q_ahead = max(0.0, self.q_ahead - self.q_rate * (leave - self.last)) + cost
        assert self.r_ahead <= self.r_most + 1e-6 and self.q_ahead <= self.q_most + 1e-3
        self.r = min(self.r_most, r + self.r_rate * wait) - 1.0
        self.q = min(self.q_most, q + self.q_rate * wait) - cost
        self.last = leave
        return leave


class Window:
    """How often something happened in the last two minutes."""

    def __init__(self):
        self.times, self.first = [], 0

    def count(self, t):
        while self.first < len(self.times) and self.times[self.first] < t - WINDOW:
            self.first += 1
        return len(self.times) - self.first


def delay(strategy, request, uniform):
    """How long to wait after the latest refusal."""
    k = request.attempts
    v = min(30.0, 2.0 ** (k - 1))
    if strategy == "fixed":
        return 1.0
    if strategy == "expo":
        return v
    if strategy == "equal":
        return v / 2.0 + uniform() * v / 2.0
    if strategy == "decorr":
        request.slept = min(30.0, 1.0 + uniform() * (3.0 * request.slept - 1.0))
        return request.slept
    if strategy == "full_ra":
        return request.hint + uniform() * v
    if strategy == "sdk_ra":
        if 0 < request.hint <= 60:
            return float(request.hint)
        return min(8.0, 0.5 * 2.0 ** (k - 1)) * (1.0 - 0.25 * uniform())
    return uniform() * v


def play(strategy, load, outage, pen, luck):
    """One run: all requests as they ended, and how many attempts the provider saw in each second."""
    uniform = luck.random
    requests, t = [], luck.expovariate(ARRIVALS_PER_S * load)
    while t < HORIZON:
        requests.append(Request(t, int(uniform() * CLIENTS), luck.randint(200, 1800)))
        t += luck.expovariate(ARRIVALS_PER_S * load)
    # Arrivals ascend, so this is a heap already.
    events = [(request.arrival, number, GO, request) for number, request in enumerate(requests)]
    serial = len(events)

    wait_most = math.inf if strategy == "limiter_naive" else 10.0
    reservations = None
    if strategy == "limiter_split_w10":
        share = 1.0 / CLIENTS
        reservations = [Reservations(share, share, wait_most) for _ in range(CLIENTS)]
    elif strategy.startswith("limiter"):
        rates = 0.95 if strategy.endswith("eta095") else 1.0
        reservations = [Reservations(rates, 1.0, wait_most)] * CLIENTS
    # In tenths of a retry: ten times 0.1 are a little less than 1 in binary, and that would show.
    budgets = [10] * CLIENTS if strategy == "budget10" else None
    asked = [Window() for _ in range(CLIENTS)] if strategy == "sre_k2" else None
    granted = [Window() for _ in range(CLIENTS)]

    req, tok, refilled = REQUESTS_MOST, TOKENS_MOST, 0.0
    accepted = accepted_tokens = 0
    reached = {}

    while events:
        t, _, kind, request = heapq.heappop(events)
        serial += 1

        if kind == GO:
            leave = t
            if budgets is not None and request.attempts == 0:
                budgets[request.client] = min(100, budgets[request.client] + 1)
            if reservations is not None:
                limiter = reservations[request.client]
                leave = limiter.departure(t, request.cost, request.deadline)
                if leave is None:
                    request.end = "shed"
                    continue
            if asked is not None:
                q, a = asked[request.client].count(t), granted[request.client].count(t)
                asked[request.client].times.append(t)
                if uniform() < max(0.0, (q - 2.0 * a) / (q + 1.0)):
                    request.end = "shed"
                    continue
            assert leave < request.deadline and request.attempts < ATTEMPTS_MOST
            request.attempts += 1
            heapq.heappush(events, (leave + NETWORK_MOST * uniform(), serial, REACH, request))

        elif kind == REACH:
            reached[int(t)] = reached.get(int(t), 0) + 1
            req = min(REQUESTS_MOST, req + REQUESTS_PER_S * (t - refilled))
            tok = min(TOKENS_MOST, tok + TOKENS_PER_S * (t - refilled))
            refilled = t
            if outage and OUTAGE_FROM <= t < OUTAGE_UNTIL:
                request.n503 += 1
                request.hint = 0
                heapq.heappush(events, (t + REFUSAL_AFTER, serial, REFUSED, request))
            elif req >= 1.0 and tok >= request.cost:
                req -= 1.0
                tok -= request.cost
                accepted += 1
                accepted_tokens += request.cost
                assert accepted <= REQUESTS_MOST + REQUESTS_PER_S * t + 1e-6
                assert accepted_tokens <= TOKENS_MOST + TOKENS_PER_S * t + 1e-3
                answer = t + 2.0 * math.exp(0.5 * luck.gauss(0.0, 1.0))
                request.end = "late" if answer > request.deadline else "ok"
                request.latency = answer - request.arrival
                if asked is not None:
                    heapq.heappush(events, (answer, serial, ACCEPTED, request))
            else:
                request.n429 += 1
                short = max((1.0 - req) / REQUESTS_PER_S, (request.cost - tok) / TOKENS_PER_S)
                request.hint = math.ceil(short)
                if pen:
                    req = max(0.0, req - 1.0)
                heapq.heappush(events, (t + REFUSAL_AFTER, serial, REFUSED, request))

        elif kind == REFUSED:
            if strategy == "none" or request.attempts >= ATTEMPTS_MOST:
                request.end = "exhausted"
                continue
            due = t + delay(strategy, request, uniform)
            if due >= request.deadline:
                request.end = "no_time"
                continue
            if budgets is not None:
                if budgets[request.client] < 10:
                    request.end = "budget_denied"
                    continue
                budgets[request.client] -= 10
            heapq.heappush(events, (due, serial, GO, request))

        else:
            granted[request.client].times.append(t)

    check(strategy, requests)
    return requests, reached


def check(strategy, requests):
    """What must hold in every run."""
    attempts = sum(request.attempts for request in requests)
    refused = sum(request.n429 + request.n503 for request in requests)
    answered = sum(request.end in ("ok", "late") for request in requests)
    assert attempts == refused + answered
    assert all(request.end is not None for request in requests)
    if strategy == "none":
        assert attempts == len(requests)
    if strategy == "budget10":
        for client in range(CLIENTS):
            own = [request for request in requests if request.client == client]
            retries = sum(request.attempts - 1 for request in own)
            assert 10 * retries <= 10 + len(own)


def rank(ascending, share):
    """The nearest-rank quantile."""
    return ascending[math.ceil(round(share * len(ascending), 9)) - 1]


def metrics(requests, reached, outage):
    """What one run comes to; a metric without a value is missing."""
    cohort = [r for r in requests if COHORT_FROM <= r.arrival < COHORT_UNTIL]
    size, seconds = len(cohort), COHORT_UNTIL - COHORT_FROM
    attempts = sum(r.attempts for r in cohort)
    good = [r for r in cohort if r.end == "ok"]
    found = {
        "amplification": attempts / size,
        "calls_per_success": attempts / max(1, len(good)),
        "success": len(good) / size,
        "goodput_rps": len(good) / seconds,
        "tok_goodput_frac": sum(r.cost for r in good) / (TOKENS_PER_S * seconds),
    }
    if attempts:
        found["rate429"] = sum(r.n429 for r in cohort) / attempts
        found["rate503"] = sum(r.n503 for r in cohort) / attempts
    for end in ("late", "shed", "exhausted", "no_time", "budget_denied"):
        found[end + "_per_request"] = sum(r.end == end for r in cohort) / size
    if good:
        latencies = sorted(r.latency for r in good)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            found[name] = rank(latencies, share)
        found["mean_latency"] = sum(latencies) / len(latencies)
    if outage:
        for name, start, stop in (
            ("success_arrived_in_outage", OUTAGE_FROM, OUTAGE_UNTIL),
            ("success_arrived_0_60s_after", OUTAGE_UNTIL, OUTAGE_UNTIL + 60.0),
            ("success_arrived_120_240s_after", OUTAGE_UNTIL + 120.0, OUTAGE_UNTIL + 240.0),
        ):
            part = [r for r in cohort if start <= r.arrival < stop]
            if part:
                found[name] = sum(r.end == "ok" for r in part) / len(part)
        after = range(int(OUTAGE_UNTIL), int(OUTAGE_UNTIL) + 60)
        peak = max(reached.get(second, 0) for second in after)
        found["peak_calls_1s_in_60s_after_outage"] = peak
    return found


def cell(job):
    """All seeds of one cell, each with luck of its own."""
    strategy, (load, outage, pen), seeds = job
    values = {}
    for seed in range(seeds):
        luck = random.Random(f"{strategy} {load} {outage} {pen} {seed}")
        requests, reached = play(strategy, load, outage, pen, luck)
        for name, value in metrics(requests, reached, outage).items():
            values.setdefault(name, []).append(value)
    return {
        "strategy": strategy,
        "load": load,
        "outage": outage,
        "pen": pen,
        "metrics": {name: summary(of_seeds) for name, of_seeds in values.items()},
    }


def summary(values):
    """Mean, standard deviation, standard error, count; nine digits, far beyond any error."""
    n = len(values)
    mean = math.fsum(values) / n
    squares = math.fsum((value - mean) ** 2 for value in values)
    deviation = math.sqrt(squares / (n - 1)) if n > 1 else 0.0
    return [float(f"{x:.9g}") for x in (mean, deviation, deviation / math.sqrt(n))] + [n]


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    path = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else BASELINE
    jobs = [(strategy, point, seeds) for strategy in STRATEGIES for point in GRID]
    with multiprocessing.Pool() as pool:
        cells = []
        for done, result in enumerate(pool.imap(cell, jobs), 1):
            cells.append(json.dumps(result, separators=(",", ":")))
            print(f"\r{done} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    # A line for each cell, so that a change shows where it is.
    head = json.dumps({"model": "llm-rl-1", "seeds": list(range(seeds))}, separators=(",", ":"))
    columns = '"columns":["mean","sd","se","n"]'
    text = head[:-1] + "," + columns + ',"cells":[\n' + ",\n".join(cells) + "\n]}\n"
    path.write_text(text)


if __name__ == "__main__":
    main()
