"""Chapter 12: answers to its exercises, the equalities behind its page, its experiments, its figures and its widget."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch12_learning_the_objective import exercises, experiments, figures, rivals
from metarl_lab.chapters.ch12_learning_the_objective.widget import Course, discount_explorer
from metarl_lab.exact.planning import policy_evaluation
from metarl_lab.ops.returns import discounted_returns
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.teach.stored import read

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "12",
    {
        "12.1": Answers(
            right=(
                """
                def lambda_return(reward, next_value, discount, lam):
                    G = []
                    after = float(next_value[-1])
                    for r, v in zip(reversed(list(reward)), reversed(list(next_value))):
                        after = float(r) + discount * ((1 - lam) * float(v) + lam * after)
                        G.insert(0, after)
                    return G
                """,
                # the weight (discount lambda)^k of what comes k steps later, and of the value that ends it all
                """
                def lambda_return(reward, next_value, discount, lam):
                    H = len(reward)
                    later = np.arange(H)[None, :] - np.arange(H)[:, None]
                    weight = np.where(later >= 0, (discount * lam) ** np.maximum(later, 0), 0.0)
                    paid = reward + discount * (1 - lam) * next_value
                    rest = (discount * lam) ** (H - np.arange(H)) * next_value[-1]
                    return np.einsum("tk,k->t", weight, paid) + rest
                """,
                # G solves a triangular system
                """
                def lambda_return(reward, next_value, discount, lam):
                    H = reward.shape[0]
                    system = torch.eye(H, dtype=reward.dtype)
                    system = system - discount * lam * torch.diag(torch.ones(H - 1, dtype=reward.dtype), 1)
                    known = reward + discount * (1 - lam) * next_value
                    known[-1] = reward[-1] + discount * next_value[-1]
                    return torch.linalg.solve(system, known.unsqueeze(1)).squeeze(1)
                """,
                """
                def lambda_return(reward, next_value, discount, lam):
                    from metarl_lab.ops.lambda_returns import lambda_returns
                    never = torch.zeros(len(reward), dtype=torch.bool)
                    return lambda_returns(reward, next_value, never, never, discount, lam)
                """,
                """
                def lambda_return(reward, next_value, discount, lam):
                    if len(reward) == 1:
                        return [reward[0] + discount * next_value[0]]
                    rest = lambda_return(reward[1:], next_value[1:], discount, lam)
                    return [reward[0] + discount * ((1 - lam) * next_value[0] + lam * rest[0]), *rest]
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        g, out = next_value[-1], np.zeros(len(reward))
                        for t in reversed(range(len(reward))):
                            out[t] = g = reward[t] + discount * (lam * next_value[t] + (1 - lam) * g)
                        return out
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        out = np.zeros(len(reward))
                        out[-1] = g = reward[-1]
                        for t in reversed(range(len(reward) - 1)):
                            out[t] = g = reward[t] + discount * ((1 - lam) * next_value[t] + lam * g)
                        return out
                    """,
                    "truncated, not terminated",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        g, out = 0.0, np.zeros(len(reward))
                        for t in reversed(range(len(reward))):
                            out[t] = g = reward[t] + discount * ((1 - lam) * next_value[t] + lam * g)
                        return out
                    """,
                    "Past the end",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        g, out = next_value[-1], np.zeros(len(reward))
                        for t in reversed(range(len(reward))):
                            out[t] = g = reward[t] + (1 - lam) * next_value[t] + lam * g
                        return out
                    """,
                    "discount is missing",
                ),
                Wrong(
                    "lambda_return = lambda reward, next_value, discount, lam: reward + discount * next_value",
                    "one step of temporal difference",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        g, out = next_value[-1], np.zeros(len(reward))
                        for t in reversed(range(len(reward))):
                            out[t] = g = reward[t] + discount * g
                        return out
                    """,
                    "Monte Carlo",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        here = np.concatenate(([0.0], next_value[:-1]))
                        g, out = here[-1], np.zeros(len(reward))
                        for t in reversed(range(len(reward))):
                            out[t] = g = reward[t] + discount * ((1 - lam) * here[t] + lam * g)
                        return out
                    """,
                    "value of s_t",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        g, out = next_value[-1], []
                        for t in reversed(range(len(reward))):
                            g = reward[t] + discount * ((1 - lam) * next_value[t] + lam * g)
                            out.append(g)
                        return out
                    """,
                    "turned round",
                ),
                Wrong(
                    """
                    def lambda_return(reward, next_value, discount, lam):
                        g, out = next_value[-1], np.zeros(len(reward))
                        for t in reversed(range(len(reward))):
                            out[t] = g = discount * (reward[t] + (1 - lam) * next_value[t] + lam * g)
                        return out
                    """,
                    "paid now",
                ),
            ),
            looks_right=(
                # three steps, no other number of them
                """
                def lambda_return(reward, next_value, discount, lam):
                    third = reward[2] + discount * next_value[2]
                    second = reward[1] + discount * ((1 - lam) * next_value[1] + lam * third)
                    first = reward[0] + discount * ((1 - lam) * next_value[0] + lam * second)
                    return [first, second, third]
                """,
                # the discount and lambda of the first episode
                """
                def lambda_return(reward, next_value, discount, lam):
                    g, out = next_value[-1], np.zeros(len(reward))
                    for t in reversed(range(len(reward))):
                        out[t] = g = reward[t] + 0.8 * (0.7 * next_value[t] + 0.3 * g)
                    return out
                """,
                # two steps of it
                """
                def lambda_return(reward, next_value, discount, lam):
                    one = reward + discount * next_value
                    after = np.append(one[1:], next_value[-1])
                    return reward + discount * ((1 - lam) * next_value + lam * after)
                """,
                # off by one: the first step's rest is left out
                """
                def lambda_return(reward, next_value, discount, lam):
                    g, out = next_value[-1], reward + discount * next_value
                    for t in reversed(range(1, len(reward))):
                        out[t] = g = reward[t] + discount * ((1 - lam) * next_value[t] + lam * g)
                    return out
                """,
            ),
        ),
        "12.2": Answers(
            right=(
                """
                def discount_slope(theta, alpha, gamma):
                    gamma = torch.tensor(float(gamma), dtype=torch.float64, requires_grad=True)
                    p = torch.sigmoid(torch.tensor(float(theta), dtype=torch.float64))
                    after = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                    q = torch.sigmoid(after)
                    return torch.autograd.grad(q - 0.5 * (1 - q), gamma)[0]
                """,
                # differences, in float64
                """
                def discount_slope(theta, alpha, gamma):
                    def J(gamma):
                        p = 1 / (1 + math.exp(-theta))
                        after = theta + alpha * p * (1 - p) * (gamma**3 - (0.5 - gamma**3))
                        q = 1 / (1 + math.exp(-after))
                        return 1.5 * q - 0.5
                    gamma = float(gamma)
                    return (J(gamma + 1e-5) - J(gamma - 1e-5)) / 2e-5
                """,
                # single precision, and a Python number in the end
                """
                def discount_slope(theta, alpha, gamma):
                    theta, alpha, gamma = (torch.tensor(float(x)) for x in (theta, alpha, gamma))
                    p = theta.sigmoid()
                    def J(gamma):
                        return 1.5 * (theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)).sigmoid() - 0.5
                    return torch.func.grad(J)(gamma).item()
                """,
                """
                def discount_slope(theta, alpha, gamma):
                    logistic = lambda x: 0.5 * (1 + np.tanh(x / 2))
                    gain = alpha * np.prod([logistic(theta), logistic(-theta)])
                    after = theta + gain * np.polyval([2.0, 0.0, 0.0, -0.5], gamma)
                    return 9 * logistic(after) * logistic(-after) * gain * gamma**2
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        return 1.5 * p * (1 - p) * alpha * p * (1 - p) * 6 * gamma**2
                    """,
                    "at theta",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        q = 1 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                        return 1.5 * q * (1 - q) * 6 * gamma**2
                    """,
                    "inner factor",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        q = 1 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                        return q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                    """,
                    "1.5, not 1",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        q = 1 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                        return 1.5 * q * (1 - q) * alpha * p * (1 - p) * 3 * gamma**2
                    """,
                    "both of its terms",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        q = 1 / (1 + np.exp(-(theta - alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                        return -1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                    """,
                    "The sign",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        return 1.5 * alpha * p * (1 - p) * 6 * gamma**2
                    """,
                    "lacks q (1 - q)",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        q = 1 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                        return 1.5 * q * (1 - q) * p * (1 - p) * 6 * gamma**2
                    """,
                    "alpha is missing",
                ),
                Wrong(
                    """
                    def discount_slope(theta, alpha, gamma):
                        p = 1 / (1 + np.exp(-theta))
                        q = 1 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                        return q * 1.0 + (1 - q) * (0.5 - 1.0)
                    """,
                    "not its slope",
                ),
            ),
            looks_right=(
                # the alpha of section 2
                """
                def discount_slope(theta, alpha, gamma):
                    p = 1 / (1 + np.exp(-theta))
                    q = 1 / (1 + np.exp(-(theta + 2.0 * p * (1 - p) * (2 * gamma**3 - 0.5))))
                    return 1.5 * q * (1 - q) * 2.0 * p * (1 - p) * 6 * gamma**2
                """,
                # the agent of section 2, before its step: fair coins
                """
                def discount_slope(theta, alpha, gamma):
                    q = 1 / (1 + np.exp(-(alpha * 0.25 * (2 * gamma**3 - 0.5))))
                    return 1.5 * q * (1 - q) * alpha * 0.25 * 6 * gamma**2
                """,
                # a chain of five steps
                """
                def discount_slope(theta, alpha, gamma):
                    p = 1 / (1 + np.exp(-theta))
                    q = 1 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**4 - 0.5))))
                    return 1.5 * q * (1 - q) * alpha * p * (1 - p) * 8 * gamma**3
                """,
                # one difference with a step that is too coarse
                """
                def discount_slope(theta, alpha, gamma):
                    def J(gamma):
                        p = 1 / (1 + np.exp(-theta))
                        return 1.5 / (1 + np.exp(-(theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5))))
                    return (J(gamma + 0.1) - J(gamma)) / 0.1
                """,
            ),
        ),
        "12.3": Answers(
            right=(
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    table = [list(map(float, row)) for row in logits]
                    for s, a, weight in zip(states, actions, pi_hat):
                        row = [float(x) for x in logits[int(s)]]
                        total = sum(math.exp(x) for x in row)
                        for b, x in enumerate(row):
                            score = (1.0 if b == int(a) else 0.0) - math.exp(x) / total
                            table[int(s)][b] += size / episodes * float(weight) * score
                    return table
                """,
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    theta = logits.clone().requires_grad_()
                    log_pi = theta.log_softmax(dim=-1)[states, actions]
                    (log_pi * pi_hat).sum().div(episodes).backward()
                    return theta.detach() + size * theta.grad
                """,
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    S, A = logits.shape
                    here, taken = np.eye(S)[states], np.eye(A)[actions]
                    pi = np.exp(logits - logits.max(1, keepdims=True))
                    pi /= pi.sum(1, keepdims=True)
                    step = np.einsum("ms,m,ma->sa", here, pi_hat, taken - here @ pi)
                    return logits + size / episodes * step
                """,
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    score = torch.nn.functional.one_hot(actions, logits.shape[1]) - logits.softmax(dim=1)[states]
                    return logits.index_add(0, states, score * pi_hat[:, None], alpha=size / episodes)
                """,
                # counted by pairs of state and action
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    raised = np.zeros_like(logits)
                    np.add.at(raised, (states, actions), pi_hat)
                    pi = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                    return logits + size / episodes * (raised - raised.sum(axis=1, keepdims=True) * pi)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        out = logits.copy()
                        np.add.at(out, (states, actions), size / episodes * pi_hat)
                        return out
                    """,
                    "pi is missing",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        np.add.at(logits, states, -size / episodes * pi_hat[:, None] * score)
                        return logits
                    """,
                    "descent",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        np.add.at(logits, states, size / len(states) * pi_hat[:, None] * score)
                        return logits
                    """,
                    "number of steps",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        np.add.at(logits, states, size * pi_hat[:, None] * score)
                        return logits
                    """,
                    "number of episodes is missing",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        np.add.at(logits, states, 1 / episodes * pi_hat[:, None] * score)
                        return logits
                    """,
                    "step size is missing",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        np.add.at(logits, states, size / episodes * score)
                        return logits
                    """,
                    "pi_hat is missing",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        logits[states] += size / episodes * pi_hat[:, None] * score
                        return logits
                    """,
                    "overwrites",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        for s, a, weight in zip(states, actions, pi_hat):
                            pi = np.exp(logits[s]) / np.exp(logits[s]).sum()
                            logits[s] += size / episodes * weight * (np.eye(len(pi))[a] - pi)
                        return logits
                    """,
                    "moved already",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(0)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        np.add.at(logits, states, size / episodes * pi_hat[:, None] * score)
                        return logits
                    """,
                    "over the states",
                ),
                Wrong(
                    """
                    def table_step(logits, states, actions, pi_hat, size, episodes):
                        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                        score = np.eye(logits.shape[1])[actions] - pi[states]
                        change = np.zeros_like(logits)
                        np.add.at(change, states, size / episodes * pi_hat[:, None] * score)
                        return change
                    """,
                    "That is the change",
                ),
            ),
            looks_right=(
                # three actions, no other number of them
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                    score = np.eye(3)[actions] - pi[states]
                    np.add.at(logits, states, size / episodes * pi_hat[:, None] * score)
                    return logits
                """,
                # two states, two episodes
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                    score = np.eye(logits.shape[1])[actions] - pi[states]
                    np.add.at(logits, states, size / 2 * pi_hat[:, None] * score)
                    return logits
                """,
                # the last step is left out
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                    score = np.eye(logits.shape[1])[actions] - pi[states]
                    change = size / episodes * pi_hat[:, None] * score
                    np.add.at(logits, states[:-1], change[:-1])
                    return logits
                """,
                # the mean over a state's visits, not their sum
                """
                def table_step(logits, states, actions, pi_hat, size, episodes):
                    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                    score = np.eye(logits.shape[1])[actions] - pi[states]
                    visits = np.bincount(states, minlength=len(logits))[states]
                    np.add.at(logits, states, size * pi_hat[:, None] * score / visits[:, None])
                    return logits
                """,
            ),
        ),
        "12.4": Answers(
            right=(
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    theta, logit = (torch.tensor(float(x), dtype=torch.float64) for x in (theta, logit))
                    found = [torch.sigmoid(logit)]
                    for _ in range(iterations):
                        logit = logit.detach().requires_grad_()
                        gamma, p = torch.sigmoid(logit), torch.sigmoid(theta.detach())
                        theta = theta.detach() + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                        q = torch.sigmoid(theta)
                        logit = logit + beta * torch.autograd.grad(q - 0.5 * (1 - q), logit)[0]
                        found.append(torch.sigmoid(logit).detach())
                    return torch.stack(found)
                """,
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    sigmoid = lambda x: 1 / (1 + math.exp(-x))
                    def after(theta, logit):
                        p = sigmoid(theta)
                        return theta + alpha * p * (1 - p) * (2 * sigmoid(logit) ** 3 - 0.5)
                    def J(theta):
                        return 1.5 * sigmoid(theta) - 0.5
                    course = [sigmoid(logit)]
                    for _ in range(iterations):
                        up, down = (J(after(theta, logit + e)) for e in (1e-5, -1e-5))
                        theta, logit = after(theta, logit), logit + beta * (up - down) / 2e-5
                        course.append(sigmoid(logit))
                    return course
                """,
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    found = np.zeros(iterations + 1)
                    for i in range(iterations + 1):
                        gamma = found[i] = 0.5 * (1 + np.tanh(logit / 2))
                        p = 0.5 * (1 + np.tanh(theta / 2))
                        gain = alpha * p * (1 - p)
                        theta = theta + gain * (2 * gamma**3 - 0.5)
                        q = 0.5 * (1 + np.tanh(theta / 2))
                        logit = logit + beta * 9 * q * (1 - q) * gain * gamma**3 * (1 - gamma)
                    return found
                """,
                # single precision, by torch.func
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    theta, logit, alpha, beta = (torch.tensor(float(x)) for x in (theta, logit, alpha, beta))
                    def step(theta, logit):
                        p = theta.sigmoid()
                        return theta + alpha * p * (1 - p) * (2 * logit.sigmoid() ** 3 - 0.5)
                    def J(logit, theta):
                        return 1.5 * step(theta, logit).sigmoid() - 0.5
                    course = [logit.sigmoid().item()]
                    for _ in range(iterations):
                        slope = torch.func.grad(J)(logit, theta)
                        theta, logit = step(theta, logit), logit + beta * slope
                        course.append(logit.sigmoid().item())
                    return course
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            after = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-after))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return np.array(discounts)
                    """,
                    "agent of the beginning",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            slope = 1.5 * p * (1 - p) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return np.array(discounts)
                    """,
                    "slope is taken at theta",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit - beta * slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return np.array(discounts)
                    """,
                    "That descends",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return np.array(discounts)
                    """,
                    "slope of the sigmoid",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            discounts.append(gamma + beta * slope)
                        return np.array(discounts)
                    """,
                    "discount itself",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            after = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-after))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                            theta = theta + alpha * p * (1 - p) * (2 * discounts[-1] ** 3 - 0.5)
                        return np.array(discounts)
                    """,
                    "has just made",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return np.array(discounts)
                    """,
                    "beta is missing",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        logits = [logit]
                        for _ in range(iterations):
                            gamma = 1 / (1 + np.exp(-logit))
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope * gamma * (1 - gamma)
                            logits.append(logit)
                        return np.array(logits)
                    """,
                    "These are logits",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return np.array(discounts[1:])
                    """,
                    "before the first iteration is missing",
                ),
                Wrong(
                    """
                    def learn_discount(theta, logit, alpha, beta, iterations):
                        discounts = [1 / (1 + np.exp(-logit))]
                        for _ in range(iterations):
                            gamma = discounts[-1]
                            p = 1 / (1 + np.exp(-theta))
                            theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                            q = 1 / (1 + np.exp(-theta))
                            slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                            logit = logit + beta * slope * gamma * (1 - gamma)
                            discounts.append(1 / (1 + np.exp(-logit)))
                        return discounts[-1]
                    """,
                    "give the whole course",
                ),
            ),
            looks_right=(
                # four iterations, whatever is asked
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    discounts = [1 / (1 + np.exp(-logit))]
                    for _ in range(4):
                        gamma = discounts[-1]
                        p = 1 / (1 + np.exp(-theta))
                        theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                        q = 1 / (1 + np.exp(-theta))
                        slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                        logit = logit + beta * slope * gamma * (1 - gamma)
                        discounts.append(1 / (1 + np.exp(-logit)))
                    return np.array(discounts)
                """,
                # the step sizes of the first course
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    discounts = [1 / (1 + np.exp(-logit))]
                    for _ in range(iterations):
                        gamma = discounts[-1]
                        p = 1 / (1 + np.exp(-theta))
                        theta = theta + 2.0 * p * (1 - p) * (2 * gamma**3 - 0.5)
                        q = 1 / (1 + np.exp(-theta))
                        slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                        logit = logit + 3.0 * slope * gamma * (1 - gamma)
                        discounts.append(1 / (1 + np.exp(-logit)))
                    return np.array(discounts)
                """,
                # the slope in gamma is taken once, and kept
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    discounts = [1 / (1 + np.exp(-logit))]
                    for _ in range(iterations):
                        gamma = discounts[-1]
                        p = 1 / (1 + np.exp(-theta))
                        theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                        q = 1 / (1 + np.exp(-theta))
                        slope = slope if len(discounts) > 1 else 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                        logit = logit + beta * slope * gamma * (1 - gamma)
                        discounts.append(1 / (1 + np.exp(-logit)))
                    return np.array(discounts)
                """,
                # off by one: the last discount is that before the last meta-step
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    discounts = [1 / (1 + np.exp(-logit))]
                    for _ in range(iterations):
                        gamma = discounts[-1]
                        p = 1 / (1 + np.exp(-theta))
                        theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                        q = 1 / (1 + np.exp(-theta))
                        slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                        logit = logit + beta * slope * gamma * (1 - gamma)
                        discounts.append(1 / (1 + np.exp(-logit)))
                    return np.array(discounts[:1] + discounts[:-1])
                """,
                # the agent begins at fair coins
                """
                def learn_discount(theta, logit, alpha, beta, iterations):
                    theta = 0.0
                    discounts = [1 / (1 + np.exp(-logit))]
                    for _ in range(iterations):
                        gamma = discounts[-1]
                        p = 1 / (1 + np.exp(-theta))
                        theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                        q = 1 / (1 + np.exp(-theta))
                        slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2
                        logit = logit + beta * slope * gamma * (1 - gamma)
                        discounts.append(1 / (1 + np.exp(-logit)))
                    return np.array(discounts)
                """,
            ),
        ),
    },
)


# --- the page's own code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.1, 0.5, 0.9])
def test_the_meta_gradient_of_the_page_is_that_of_differences_and_of_exercise_2(value):
    page = of_page("12", "step", "true_return")
    theta = torch.tensor(-0.4, dtype=torch.float64)
    gamma = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(page.true_return(page.step(theta, gamma)), gamma)[0].item()
    up, down = (page.true_return(page.step(theta, value + e)).item() for e in (1e-5, -1e-5))
    assert slope == pytest.approx((up - down) / 2e-5, rel=1e-6)
    assert slope == pytest.approx(exercises.slope(-0.4, 2.0, value), rel=1e-9)


def test_the_chain_of_section_2_is_the_lure():
    """What right and wrong earn, and the discount at which they look alike."""
    page = of_page("12", "true_return")
    lure = experiments.families()["lure"]
    tasks = lure.sample_tasks(1, "test", seeded_generator("cpu", 0))
    _, reward = played(lure, tasks, int(tasks.right[0]))
    assert reward.tolist() == [0.0, 0.0, 0.0, 1.0]
    _, wrong = played(lure, tasks, 1 - int(tasks.right[0]))
    assert wrong.tolist() == [0.5, 0.0, 0.0, -1.0]
    assert page.true_return(torch.tensor(30.0)).item() == pytest.approx(reward.sum().item())
    assert page.true_return(torch.tensor(-30.0)).item() == pytest.approx(wrong.sum().item())
    threshold = (0.5 / 2) ** (1 / 3)
    seen = [discounted_returns(r, threshold)[0].item() for r in (reward, wrong)]
    assert seen[0] == pytest.approx(seen[1])


def played(family, tasks, first):
    """Actions and rewards (H,) of an episode whose every action is `first`."""

    class Always:
        spec, shares_memory, noise_size, name = family.spec, True, 1, "always"

        def begin(self, n_tasks, copies):
            return torch.zeros(n_tasks, 1)

        def act(self, memory, seen, noise):
            return torch.full(seen.observation.shape[:2], first), memory

    agent = Always()
    episodes, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 1))
    return episodes.action[0, 0, 0], episodes.reward[0, 0, 0]


def test_inner_values_make_the_outer_objective_prefer_the_bait():
    page = of_page("12", "outer_advantage")
    # right: 0.99 (0.7 v1 + 0.3 0.99 (0.7 v2 + 0.3 0.99 (0.7 v3 + 0.3 0.99))) with v = 0.2^(2, 1, 0)
    blend = 0.99 * 0.3
    worth = 0.99 * 0.7 * 0.04 + blend * (0.99 * 0.7 * 0.2 + blend * (0.99 * 0.7 + blend))
    assert page.outer_advantage(0.2) == pytest.approx(2 * worth - 0.5, abs=1e-6)
    assert page.outer_advantage(0.2) < 0 < page.outer_advantage(0.99)
    assert page.outer_advantage(0.2, lam=1.0) == pytest.approx(page.outer_advantage(0.99, lam=1.0)), (
        "where returns run to the end, values make no difference"
    )


def test_cross_entropy_on_ones_own_actions_expects_no_update():
    page = of_page("12", "logits", "pay", "expected_update")
    np.testing.assert_allclose(page.expected_update(torch.ones(2)), 0.0, atol=1e-12)
    J = page.logits.softmax(0) @ page.pay
    exact = torch.autograd.grad(J, page.logits)[0]
    np.testing.assert_allclose(page.expected_update(page.pay), exact)


class Discounting:
    """A rule whose pi_hat is the return at a discount."""

    def __init__(self, discount):
        self.discount = discount
        self.config = SimpleNamespace(categories=3)

    def rule(self, reward, terminated, live, pi, y, y_next):
        assert not terminated[..., :-1].any() and y.sum(-1).allclose(torch.ones(1))
        to_go = discounted_returns(reward.movedim(-1, 0), self.discount).movedim(0, -1)
        return SimpleNamespace(pi_hat=to_go)


def test_a_discounted_return_is_felt_back_as_powers_of_its_discount():
    page = of_page("12", "felt_back")
    np.testing.assert_allclose(page.felt_back(Discounting(0.9), True), 0.9 ** np.arange(8), rtol=1e-5)
    np.testing.assert_allclose(page.felt_back(Discounting(0.5), False, steps=4), [1, 0.5, 0.25, 0.125], rtol=1e-5)


def test_what_can_be_read_off_is_scored_on_tasks_that_the_probe_did_not_meet():
    page = of_page("12", "read_off")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 5, 3, generator=generator)
    values = torch.stack((features @ torch.tensor([1.0, -2.0, 0.5]), torch.randn(40, 5, generator=generator)), -1)
    found = page.read_off(features, values, half=20)
    assert found[0] > 0.99 and found[1] < 0.2
    scrambled = values.clone()
    scrambled[20:] = -values[20:]
    assert page.read_off(features, scrambled, half=20)[0] < 0


def test_the_stored_habits_are_those_of_five_rules():
    stored = read(find_folder("data/results") / "12_habits.csv")
    shapes = {name: array.shape for name, array in stored.items()}
    assert shapes == {
        "y": (5, 5),
        "policy": (5, 5),
        "follows": (5, 3),
        "the episode ends there": (5, 8),
        "it goes on": (5, 8),
    }
    assert (stored["it goes on"][:, 0] == 1).all(), "shares of what is felt at the reward"
    assert len({tuple(row) for row in stored["y"]}) == 5, "five different rules"


# --- what the page runs and does not show -----------------------------------------------------------------------------


def acted_by(agent, family, tasks, copies=6, seed=3):
    trial = begin(agent, family, tasks, copies)
    memory = trial.memory
    if hasattr(memory, "logits"):  # not all alike
        generator = torch.Generator().manual_seed(seed)
        memory = type(memory)(*(torch.randn(part.shape, generator=generator) for part in memory))
    trial = trial._replace(memory=memory)
    episodes, _ = collect(agent, family, tasks, trial, seeded_generator("cpu", seed))
    return memory, episodes


@pytest.mark.parametrize("name", ["REINFORCE", "actor-critic"])
def test_a_rival_takes_the_gradient_step_of_its_pi_hat(name):
    """logits += size grad of the mean over episodes of sum_t pi_hat_t log pi(a_t | s_t), by autograd."""
    family = ml.make_family("chain", shortest=2, longest=5, horizon=5)
    tasks = family.sample_tasks(4, "train", seeded_generator("cpu", 2))
    agent = experiments.rival(name, family, 1.7)
    memory, episodes = acted_by(agent, family, tasks)
    observation = episodes.observation[:, :, 0]
    visited = torch.cat((observation, episodes.final_observation), 2)
    pi_hat = agent.rule(episodes, torch.einsum("tehs,ts->teh", visited, memory.value))
    assert (pi_hat[~episodes.mask[:, :, 0]] == 0).all()

    logits = memory.logits.clone().requires_grad_()
    log_pi = torch.einsum("tehs,tsa->teha", observation, logits).log_softmax(-1)
    taken = log_pi.gather(-1, episodes.action[:, :, 0, :, None])[..., 0]
    objective = (taken * pi_hat).sum(2).mean(1).sum()  # over H, over E; the tasks are apart
    gradient = torch.autograd.grad(objective, logits)[0]
    after = agent.absorb(memory, episodes)
    torch.testing.assert_close(after.logits, memory.logits + 1.7 * gradient)

    moved = torch.zeros_like(memory.value)
    for t, e, h in np.ndindex(*pi_hat.shape):
        moved[t] += observation[t, e, h] * pi_hat[t, e, h] / pi_hat.shape[1]
    rate = 0.0 if name == "REINFORCE" else 1.0
    torch.testing.assert_close(after.value, memory.value + rate * moved)


def episode(reward, live=None):
    """Episodes (1, E, 1, H) with these rewards (E, H) that end with their last live step."""
    reward = torch.tensor(reward)
    mask = torch.ones_like(reward, dtype=torch.bool) if live is None else torch.tensor(live)
    terminated = torch.zeros_like(mask)
    for row, alive in zip(terminated, mask, strict=True):
        row[int(alive.sum()) - 1] = True

    def lift(x):
        return x[None, :, None]

    return SimpleNamespace(
        reward=lift(reward),
        mask=lift(mask),
        terminated=lift(terminated),
        truncated=lift(torch.zeros_like(mask)),
    )


def test_reinforce_by_hand():
    episodes = episode([[1.0, 2.0, 4.0], [0.0, 1.0, 0.0]], [[True, True, True], [True, True, False]])
    # to go: 7 6 4 and 1 1; the means over who is still going on: 4, 3.5, 4
    found = rivals.reinforce(episodes, torch.zeros(1, 2, 4))
    assert found.tolist() == [[[3.0, 2.5, 0.0], [-3.0, -2.5, 0.0]]]


def test_actor_critic_by_hand():
    episodes = episode([[1.0, 2.0]])
    value = torch.tensor([[[0.5, 3.0, 9.0]]])
    # the last step terminates: G_1 = 2; G_0 = 1 + 0.9 (0.5 3 + 0.5 2)
    found = rivals.actor_critic(episodes, value)
    torch.testing.assert_close(found, torch.tensor([[[1 + 0.9 * 2.5 - 0.5, 2.0 - 3.0]]]))


def test_true_values_are_those_of_a_long_life():
    family = experiments.families()["mdp"]
    tasks = family.sample_tasks(3, "test", seeded_generator("cpu", 1))
    policy = torch.rand(tasks.reward.shape, generator=torch.Generator().manual_seed(0)).softmax(-1)
    values = experiments.true_values(tasks, policy, (0.0, 0.8))
    for column, discount in enumerate((0.0, 0.8)):
        long = policy_evaluation(*tasks, policy.expand(200, -1, -1, -1), discount)[1][0]
        torch.testing.assert_close(values[..., column], long, atol=1e-4, rtol=1e-4)


def test_lives_give_the_agents_that_acted_last():
    family = experiments.families()["mdp"]
    learner = ml.make_learner("learned_rule", family)
    tasks, agents, acted = experiments.lives(learner, family, steps=1, n_tasks=4)
    assert torch.count_nonzero(agents.policy) == 0, "one batch: acted by agents that have learned nothing"
    _, agents, _ = experiments.lives(learner, family, steps=2, n_tasks=4)
    assert torch.count_nonzero(agents.policy) > 0
    assert acted.reward.shape[:3] == (4, 8, 1) and len(tasks.reward) == 4


def test_returns_after_ten_steps_are_of_each_discount():
    mean, low, high = experiments.after_ten_steps("lure", (0.0, 0.99))
    assert mean.shape == (2,) and (low <= mean).all() and (mean <= high).all()
    assert mean[0] < 0.25 < mean[1], "the short-sighted take the bait"


def test_the_two_programs_start_alike_and_part():
    ours, theirs = (experiments.discount_course(name, 0.2, iterations=2) for name in experiments.PROGRAMS)
    assert ours.discount.shape == (3,) and ours.returns.shape == (2, 21)
    assert ours.discount[0] == theirs.discount[0] == 0.2
    assert ours.discount[2] > 0.2 > theirs.discount[2]


def test_the_table_of_a_course_says_where_its_discount_was():
    rise = Course(np.array([0.2, 0.5, 0.7, 0.9]), np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]))
    table = experiments.course_table({("ours", 0.2): rise, ("other", 0.2): rise}, "ours", 0.63)
    assert table["began"].tolist() == ["below 0.63", "below 0.63", "above 0.63"]
    assert table["return"].tolist() == [1.0, 2.0, 3.0] and table["iteration"].tolist() == [1, 2, 3]


def test_stored_ends_are_one_a_run_and_compared_with_the_best_by_hand():
    ends = experiments.ten_seeds()
    counts = ends.groupby(["family", "label"]).size()
    assert set(ends["family"]) == {"chain of six", "MDP"} and set(counts[counts > 1]) == {10}
    learned = experiments.learned_ends(ends)
    assert len(learned) == 80 and not learned["label"].str.startswith("discount").any()
    chain = ends[(ends["family"] == "chain of six") & ends["label"].str.startswith("discount")]
    assert learned.loc["chain of six", "best_seed"].iloc[0] == chain["return"].max()
    assert learned.loc["chain of six", "best_mean"].iloc[0] == chain.groupby("label")["return"].mean().max()
    bands, anchors = experiments.outcome_bands(ends)["MDP"]
    assert list(bands) == [*experiments.HAND_SET, *experiments.LEARNED] and set(anchors) == {"random", "oracle"}
    assert all(low <= mean <= high for mean, low, high in bands.values())


def test_exams_are_told_in_shares_of_the_way_to_the_oracle():
    def curve(values):
        return SimpleNamespace(mean=np.array(values))

    curves = {"learned_rule": curve([0.0, 5.0]), "REINFORCE": curve([0.0, 10.0]), "actor-critic": curve([2.0, 0.0])}
    table = experiments.exam_table({"chain": (curves, {"random play": 0.0, "oracle": 20.0})})
    assert table["learned_rule"].tolist() == [0.0, 0.25] and table["better_rival"].tolist() == [0.1, 0.5]


def test_a_longer_schooling_has_a_row_for_each_family_and_rule():
    table = experiments.longer_schooling()
    assert len(table) == 8 * 5 and not table.isna().any().any()
    assert (table["random play"] < table["oracle"]).all()
    assert table.groupby(level="family")["REINFORCE"].nunique().eq(1).all()
    assert set(table["met"]) == {"trained", "unseen"}


# --- figures and widget -----------------------------------------------------------------------------------------------

BAND = (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_hand_set_has_a_panel_each_with_its_anchors():
    figure = figures.hand_set((0.0, 0.9), {"lure": (BAND, {"oracle": 3.0}), "mdp": (BAND, {"random": 0.1})})
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_xydata(), [[0.0, 1.0], [0.9, 2.0]])
    assert words(left) == ["oracle"] and words(right) == ["random play"]
    assert "discount" in left.get_xlabel() and "return" in left.get_ylabel()


def test_a_moment_of_a_course_is_marked_where_it_was():
    course, trial = np.array([0.2, 0.4, 0.8]), np.array([0.0, 0.5, 1.0])
    left, right = figures.course_and_trial(course, 0.63, 2, trial, {"oracle": 1.0}).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), course)
    np.testing.assert_allclose(left.lines[1].get_xydata(), [[2, 0.8]])
    np.testing.assert_allclose(left.lines[2].get_ydata(), 0.63)
    np.testing.assert_allclose(right.lines[0].get_ydata(), trial)
    assert "iteration 2" in right.get_title()


def test_outcomes_tell_hand_set_from_learned():
    rows = {"discount 0": (1.0, 0.9, 1.1), "learned from 0.5": (2.0, 1.8, 2.3)}
    ax = figures.outcomes({"chain": (rows, {"random": 0.0, "oracle": 3.0})}).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(rows)
    points = [c.lines[0] for c in ax.containers]
    assert [float(p.get_xdata()[0]) for p in points] == [1.0, 2.0]
    assert points[0].get_color() != points[1].get_color()
    segments = ax.containers[1].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(segments[:, 0], [1.8, 2.3])
    assert words(ax) == ["random play", "oracle"]


def test_rules_have_one_legend_and_a_panel_a_family():
    curve = SimpleNamespace(mean=BAND[0], low=BAND[1], high=BAND[2])
    curves = {"learned_rule": curve, "REINFORCE": curve, "actor-critic": curve}
    figure = figures.rules({family: (curves, {"oracle": 3.0}) for family in "abcd"})
    assert [ax.get_title() for ax in figure.axes] == list("abcd") and len(figure.legends) == 1
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["learned rule", "REINFORCE", "actor-critic"]
    assert all(ax.get_legend() is None for ax in figure.axes)
    lines = figure.axes[0].lines[:3]
    assert len({line.get_color() for line in lines}) == 3
    np.testing.assert_allclose(lines[0].get_ydata(), BAND[0])


def test_readout_draws_every_share_and_shows_controls_that_read_nothing():
    shares = {"y": (0.5, 0.1), "the policy": (0.0, -0.2), "y, untrained rule": (0.0, -0.2)}
    ax = figures.readout((0.0, 0.9), shares)
    drawn = {line.get_label(): line for line in ax.lines}
    for name, values in shares.items():
        np.testing.assert_allclose(drawn[name].get_ydata(), values)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "0.9"]
    assert ax.get_ylim()[0] < -0.2, "a reading below zero is in the picture"
    policy, untrained = (drawn[name].get_xdata() for name in list(shares)[1:])
    assert (policy != untrained).all(), "two that are alike stand side by side"
    assert "no better than" in " ".join(words(ax))


def test_echo_stands_beside_powers_of_discounts():
    ax = figures.echo({"ends": np.array([1.0, 0.8, 0.7])}, {"0.5": 0.5})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.0, 0.8, 0.7])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.0, 0.5, 0.25])


def make(name, seed=0):
    rng = np.random.default_rng(seed)
    runs = {(p, s): Course(rng.random(11), rng.random((10, 21))) for p in ("ours", "other") for s in (0.2, 0.5)}
    return discount_explorer(runs, 0.63, {"oracle": 1.0, "random play": 0.0}, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test discount")
    for name, value in {"program": "other", "start": 0.5, "iteration": 10}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_the_slider_ends_where_the_runs_end_and_the_stored_picture_is_that_end():
    explorer = make("test discount ends")
    slider = explorer.controls["iteration"]
    assert (slider.min, slider.max) == (1, 10)
    assert explorer._end == {"iteration": 10}


def test_the_first_alt_text_holds_no_trained_number():
    assert make("test alt a").alt_text == make("test alt b", seed=1).alt_text
    assert "return" in make("test alt c").alt_text
