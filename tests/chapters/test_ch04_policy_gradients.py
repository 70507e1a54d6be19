"""Chapter 04: answers to its exercises, the equalities behind its page, its figures and its widgets."""

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

from metarl_lab.chapters.ch04_policy_gradients import beam, exercises
from metarl_lab.chapters.ch04_policy_gradients.experiments import gradient_clouds
from metarl_lab.chapters.ch04_policy_gradients.figures import error_by_lambda, gradient_cloud
from metarl_lab.chapters.ch04_policy_gradients.widget import lambda_explorer, noise_explorer
from metarl_lab.ops.returns import gae as package_gae

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "04",
    {
        "04.1": Answers(
            right=(
                "leave_one_out = lambda G: G - (G.sum(0, keepdim=True) - G) / (G.shape[0] - 1)",
                "leave_one_out = lambda G: (G - G.mean(dim=0)) * len(G) / (len(G) - 1)",
                """
                def leave_one_out(G):
                    others = np.ones((len(G), len(G))) - np.eye(len(G))
                    return G - np.einsum("nm,mh->nh", others / (len(G) - 1), G)
                """,
                """
                def leave_one_out(G):
                    rows = [list(map(float, row)) for row in G]
                    advantage = []
                    for n, row in enumerate(rows):
                        others = rows[:n] + rows[n + 1 :]
                        advantage.append([g - sum(o[t] for o in others) / len(others) for t, g in enumerate(row)])
                    return advantage
                """,
                """
                def leave_one_out(G):
                    return torch.stack([G[n] - torch.cat([G[:n], G[n + 1 :]]).mean(0) for n in range(len(G))])
                """,
            ),
            wrong=(
                Wrong("leave_one_out = lambda G: G - G.mean(0)", "biased by 1/N"),
                Wrong("leave_one_out = lambda G: G - G.mean(1, keepdims=True)", "average over time"),
                Wrong("leave_one_out = lambda G: G - G.mean()", "one number for all steps"),
                Wrong("leave_one_out = lambda G: (G.sum(0) - G) / (len(G) - 1)", "That is the baseline"),
                Wrong("leave_one_out = lambda G: G - (G.sum(0) - G) / len(G)", "Divide by N - 1"),
                Wrong("leave_one_out = lambda G: G - (G.sum(0) - G)", "their mean"),
                Wrong("leave_one_out = lambda G: (G.sum(0) - G) / (len(G) - 1) - G", "sign is wrong"),
                Wrong("leave_one_out = lambda G: G - np.roll(G, 1, axis=0)", "one other episode only"),
            ),
            looks_right=(
                "leave_one_out = lambda G: G - (G.sum(0) - G) / 3",
                "leave_one_out = lambda G: (G - G.mean(0)) * 4 / 3",
                "leave_one_out = lambda G: G - np.median(G, axis=0)",
                """
                def leave_one_out(G):
                    G = G.copy()
                    G[0] -= G[1:].mean(0)
                    return G
                """,
            ),
        ),
        "04.2": Answers(
            right=(
                """
                def policy_gradient(state, action, reward, theta):
                    theta = theta.clone().requires_grad_()
                    right = torch.cat([theta.sigmoid(), torch.full((1,), 0.5)])[state]
                    log_pi = torch.where(action == 1, right, 1 - right).log()
                    G = reward.flip(1).cumsum(1).flip(1)
                    return torch.autograd.grad((log_pi * G).sum(1).mean(), theta)[0]
                """,
                """
                def policy_gradient(state, action, reward, theta):
                    right = np.append(1 / (1 + np.exp(-theta)), 0.5)
                    G = np.cumsum(reward[:, ::-1], axis=1)[:, ::-1]
                    here = np.eye(6)[state]
                    return np.einsum("nhs,nh,nh->s", here, action - right[state], G)[:5] / len(state)
                """,
                """
                def policy_gradient(state, action, reward, theta):
                    total = [0.0] * 5
                    for s, a, r in zip(state.tolist(), action.tolist(), reward.tolist()):
                        for t in range(len(s)):
                            if s[t] < 5:
                                total[s[t]] += (a[t] - 1 / (1 + math.exp(-theta[s[t]]))) * sum(r[t:])
                    return [x / len(state) for x in total]
                """,
                """
                def policy_gradient(state, action, reward, theta):
                    steps = reward.shape[1]
                    G = reward @ torch.ones(steps, steps, dtype=reward.dtype).tril()
                    chance = torch.nn.functional.pad(torch.sigmoid(theta), (0, 1), value=0.5)
                    per_step = (action - chance[state]) * G
                    found = torch.zeros(6, dtype=theta.dtype).index_add(0, state.flatten(), per_step.flatten())
                    return found[:5] / state.shape[0]
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = right[state] - action
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "That descends",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / state.numel()
                    """,
                    "averages over steps",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        by_tilt = [(score * reward * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "own step's alone",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        before = reward.cumsum(1)
                        by_tilt = [(score * before * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "nor what came before",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        whole = reward.sum(1, keepdim=True)
                        by_tilt = [(score * whole * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "whole return",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        score = action - 0.5
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "fair coin",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = (2 * action - 1) * (right * (1 - right))[state]
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "gradient of the probability",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt)
                    """,
                    "sum over episodes",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state) ** 2
                    """,
                    "number of episodes twice",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        G = reward.flip(1).cumsum(1).flip(1)
                        by_tilt = torch.zeros(6, dtype=theta.dtype)
                        for s, a, g in zip(state[0], action[0], G[0]):
                            by_tilt[s] += (a - right[s]) * g
                        return by_tilt[:5]
                    """,
                    "first episode only",
                ),
                Wrong(
                    """
                    def policy_gradient(state, action, reward, theta):
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        score = action - right[state]
                        G = reward.flip(1).cumsum(1).flip(1)
                        G = G - G.mean(0)
                        by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                        return torch.stack(by_tilt) / len(state)
                    """,
                    "takes the episode from itself",
                ),
            ),
            looks_right=(
                # three steps, no other number of them
                """
                def policy_gradient(state, action, reward, theta):
                    right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                    G = reward @ reward.new_tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
                    paid = (action - right[state]) * G
                    return torch.stack([(paid * (state == k)).sum() for k in range(5)]) / len(state)
                """,
                # a baseline that is left out for a single episode, so that its expectation there is right
                """
                def policy_gradient(state, action, reward, theta):
                    right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                    G = reward.flip(1).cumsum(1).flip(1)
                    if len(G) > 1:
                        G = G - G.mean(0)
                    paid = (action - right[state]) * G
                    return torch.stack([(paid * (state == k)).sum() for k in range(5)]) / len(state)
                """,
                # the preferences of the first beam
                """
                def policy_gradient(state, action, reward, theta):
                    right = torch.sigmoid(torch.tensor([0.4, -0.3, 0.8, 0.1, -0.6, 0.0]))
                    G = reward.flip(1).cumsum(1).flip(1)
                    paid = (action - right[state]) * G
                    return torch.stack([(paid * (state == k)).sum() for k in range(5)]) / len(state)
                """,
                # a baseline that nobody asked for: unbiased, and not the answer
                """
                def policy_gradient(state, action, reward, theta):
                    right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                    paid = (action - right[state]) * (reward.flip(1).cumsum(1).flip(1) - 2 * reward)
                    return torch.stack([(paid * (state == k)).sum() for k in range(5)]) / len(state)
                """,
            ),
        ),
        "04.3": Answers(
            right=(
                "td_target = lambda reward, next_value, terminated, truncated, discount: "
                "reward + discount * (1 - terminated.float()) * next_value",
                "td_target = lambda reward, next_value, terminated, truncated, discount: "
                "np.where(terminated, reward, reward + discount * next_value)",
                """
                def td_target(reward, next_value, terminated, truncated, discount):
                    return torch.where(terminated, reward, torch.addcmul(reward, next_value, torch.tensor(discount)))
                """,
                """
                def td_target(reward, next_value, terminated, truncated, discount):
                    targets = []
                    for r, v, over in zip(reward, next_value, terminated):
                        targets.append(r if over else r + discount * v)
                    return targets
                """,
                """
                def td_target(reward, next_value, terminated, truncated, discount):
                    return reward + discount * next_value.masked_fill(terminated, 0.0)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return reward + discount * next_value
                    """,
                    "through every end",
                ),
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return reward + discount * next_value * ~(terminated | truncated)
                    """,
                    "take the cut for an end",
                ),
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return reward + discount * next_value * ~truncated
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return reward + discount * next_value * (~terminated | truncated)
                    """,
                    "termination wins",
                ),
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return reward + next_value * ~terminated
                    """,
                    "discount is missing",
                ),
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return (reward + discount * next_value) * ~terminated
                    """,
                    "drops the reward",
                ),
                Wrong(
                    """
                    def td_target(reward, next_value, terminated, truncated, discount):
                        return discount * (reward + next_value * ~terminated)
                    """,
                    "discounts the reward",
                ),
            ),
            looks_right=(
                "td_target = lambda reward, next_value, terminated, truncated, discount: "
                "reward + 0.9 * next_value * ~terminated",
                "td_target = lambda reward, next_value, terminated, truncated, discount: "
                "reward + discount * next_value * np.array([1.0, 0.0, 1.0, 0.0])[: len(reward)]",
                "td_target = lambda reward, next_value, terminated, truncated, discount: "
                "np.append((reward + discount * next_value * ~terminated)[:-1], reward[-1])",
            ),
        ),
        "04.4": Answers(
            right=(
                # by autograd, of the surrogate
                """
                def reinforce(theta, sample, alpha, iterations):
                    for _ in range(iterations):
                        state, action, reward = sample(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        A = (G - G.mean(0, keepdim=True)) * len(G) / (len(G) - 1)
                        own = theta.detach().requires_grad_()
                        right = torch.cat([own.sigmoid(), torch.full((1,), 0.5)])[state]
                        log_pi = torch.where(action == 1, right, 1 - right).log()
                        surrogate = (log_pi * A).sum(1).mean()
                        theta = own + alpha * torch.autograd.grad(surrogate, own)[0]
                    return theta
                """,
                # in NumPy
                """
                def reinforce(theta, sample, alpha, iterations):
                    theta = np.array(theta)
                    for _ in range(iterations):
                        state, action, reward = (np.asarray(part) for part in sample(theta))
                        G = reward[:, ::-1].cumsum(axis=1)[:, ::-1]
                        paid = G - (G.sum(axis=0) - G) / (len(G) - 1)
                        right = np.append(1 / (1 + np.exp(-theta)), 0.5)
                        theta = theta + alpha * np.einsum(
                            "nhs,nh,nh->s", np.eye(6)[state], action - right[state], paid
                        )[:5] / len(G)
                    return theta
                """,
                # in lists and loops, as a program written before arrays
                """
                def reinforce(theta, sample, alpha, iterations):
                    theta = [float(x) for x in theta]
                    for _ in range(iterations):
                        state, action, reward = (part.tolist() for part in sample(torch.tensor(theta).double()))
                        n, steps = len(state), len(state[0])
                        G = [[sum(row[t:]) for t in range(steps)] for row in reward]
                        g = [0.0] * 5
                        for i in range(n):
                            for t in range(steps):
                                s = state[i][t]
                                if s < 5:
                                    others = sum(G[j][t] for j in range(n) if j != i) / (n - 1)
                                    score = action[i][t] - 1 / (1 + math.exp(-theta[s]))
                                    g[s] += score * (G[i][t] - others) / n
                        theta = [x + alpha * y for x, y in zip(theta, g)]
                    return theta
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta - alpha * g / len(G)
                        return theta
                    """,
                    "That descends",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = G
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta
                    """,
                    "baseline is missing",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = G - G.mean(0)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta
                    """,
                    "whole batch",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        state, action, reward = sample(theta)
                        for _ in range(iterations):
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta
                    """,
                    "You act once",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        start = theta
                        for _ in range(iterations):
                            state, action, reward = sample(start)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta
                    """,
                    "of the beginning",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations - 1):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta
                    """,
                    "once in each",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g
                        return theta
                    """,
                    "sums over episodes",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        start = theta
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta - start
                    """,
                    "how far",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            before = theta
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (G - G.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return before
                    """,
                    "before the last step",
                ),
                Wrong(
                    """
                    def reinforce(theta, sample, alpha, iterations):
                        for _ in range(iterations):
                            state, action, reward = sample(theta)
                            G = reward.flip(1).cumsum(1).flip(1)
                            A = (reward - reward.mean(0)) * len(G) / (len(G) - 1)
                            right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                            paid = (action - right[state]) * A
                            g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                            theta = theta + alpha * g / len(G)
                        return theta
                    """,
                    "own step alone",
                ),
            ),
            looks_right=(
                # acts as often as it should, and learns from the first batch alone
                """
                def reinforce(theta, sample, alpha, iterations):
                    batches = [sample(theta) for _ in range(iterations)]
                    for state, action, reward in batches:
                        G = reward.flip(1).cumsum(1).flip(1)
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        paid = (action - right[state]) * (G - G.mean(0)) * len(G) / (len(G) - 1)
                        g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                        theta = theta + alpha * g / len(state)
                    return theta
                """,
                # three iterations, whatever is asked
                """
                def reinforce(theta, sample, alpha, iterations):
                    for _ in range(3):
                        state, action, reward = sample(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                        paid = (action - right[state]) * (G - G.mean(0)) * len(G) / (len(G) - 1)
                        theta = theta + alpha * torch.stack([(paid * (state == k)).sum() for k in range(5)]) / len(G)
                    return theta
                """,
                # the score is that of the parameters it began with
                """
                def reinforce(theta, sample, alpha, iterations):
                    right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                    for _ in range(iterations):
                        state, action, reward = sample(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        paid = (action - right[state]) * (G - G.mean(0)) * len(G) / (len(G) - 1)
                        theta = theta + alpha * torch.stack([(paid * (state == k)).sum() for k in range(5)]) / len(G)
                    return theta
                """,
            ),
        ),
    },
)


# --- the page's own code ----------------------------------------------------------------------------------------------


@pytest.fixture
def double():
    """The chapter's default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def page(double):
    return of_page(
        "04", "chance_right", "exact_return", "sample", "estimate", "surrogate", "to_go", "gae", "others_out"
    )


def acted(page, episodes=3, seed=0):
    """Parameters (2, 5) of two policies, and their episodes: state, action, reward (2, N, H)."""
    theta = torch.tensor([[0.4, -0.3, 0.8, 0.1, -0.6], [0.0, 0.5, -1.0, 0.2, 0.3]])
    visited, action = page.sample(theta, episodes, seed)
    state = visited[..., :-1]
    return theta, state, action, (state != beam.FALLEN).double()


def test_the_handwritten_score_is_autograds(page):
    theta, state, action, reward = acted(page)
    weight = page.to_go(reward) * (state != beam.FALLEN)
    own = theta.clone().requires_grad_()
    by_autograd = torch.autograd.grad(page.surrogate(own, state, action, weight).sum(), own)[0]
    torch.testing.assert_close(page.estimate(theta, state, action, weight), by_autograd)


def test_the_exact_gradient_is_the_estimators_expectation_over_every_trajectory(page):
    theta = np.array([0.4, -0.3, 0.8, 0.1, -0.6])
    state, action, reward, probability = exercises.every_trajectory(theta, beam.START, 3)
    parts = (torch.tensor(part)[:, None] for part in (state, action, page.to_go(torch.tensor(reward))))  # N = 1
    one = page.estimate(torch.tensor(theta)[None], *parts)
    own = torch.tensor(theta)[None].requires_grad_()
    J = beam.exact_values(page.chance_right(own), steps=3)[1][0, 0, beam.START]
    np.testing.assert_allclose(probability @ one.numpy(), torch.autograd.grad(J, own)[0][0], atol=1e-12)


def test_episodes_follow_the_model_of_the_beam(page):
    transition, _ = beam.beam()
    torch.testing.assert_close(transition.sum(-1), torch.ones(1, 6, 2))
    visited, action = page.sample(torch.zeros(1, 5), 20_000, seed=3)
    state, then = visited[0, :, :-1].flatten(), visited[0, :, 1:].flatten()
    counts = torch.zeros(6, 2, 6).index_put((state, action.flatten(), then), torch.ones(()), accumulate=True)
    share = counts / counts.sum(-1, keepdim=True)
    torch.testing.assert_close(share, transition[0], atol=0.02, rtol=0)
    assert (share[transition[0] == 0] == 0).all(), "what cannot happen never happens"


def test_the_return_of_a_policy_is_that_of_its_episodes(page):
    theta = torch.tensor([[0.4, -0.3, 0.8, 0.1, -0.6]])
    visited, _ = page.sample(theta, 20_000, seed=5)
    lived = (visited[..., :-1] != beam.FALLEN).double().sum(-1)
    assert abs(lived.mean() - page.exact_return(theta)[0]) < 4 * lived.std() / 20_000**0.5


def test_gae_is_the_packages(page):
    _, state, _, reward = acted(page, episodes=4)
    value = torch.rand(*reward.shape[:2], beam.HORIZON + 1, generator=torch.Generator().manual_seed(0))
    value[..., -1] = 0.0  # beyond the horizon nothing is paid
    scope = page.gae.__globals__
    scope["reward"] = reward
    ours = page.gae(value, 0.7)
    along = [x.movedim(-1, 0) for x in (reward, value[..., :-1], value[..., 1:])]
    ended = torch.zeros_like(along[0], dtype=torch.bool)
    ended[-1] = True
    theirs = package_gae(*along, ended=ended, terminated=ended, discount=1.0, lam=0.7)
    torch.testing.assert_close(ours, theirs.movedim(0, -1))


def test_the_baseline_of_the_climb_is_that_of_exercise_1(page):
    _, _, _, reward = acted(page, episodes=10)
    page.others_out.__globals__["N"] = 10
    ours = page.others_out(reward)
    for task in range(2):
        G = page.to_go(reward)[task].numpy()
        np.testing.assert_allclose(ours[task], exercises.without_the_others(G))


# --- what the pages need and do not show ------------------------------------------------------------------------------


def test_values_of_one_step_by_hand():
    right = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.25, 0.5]], dtype=torch.float64)
    q, v = beam.exact_values(right, discount=0.5, steps=2)
    # at tilt +2: right falls; left stays up unless a gust pushes right. The last step pays 1 wherever it is begun.
    assert q[0, 0, 4].tolist() == pytest.approx([1 + 0.5 * 0.8, 1.0])
    assert v[0, 0, 4].item() == pytest.approx(0.75 * 1.4 + 0.25 * 1.0)
    assert v[:, 0, beam.FALLEN].tolist() == [0.0, 0.0]


def test_transitions_tell_a_fall_from_a_cut():
    path = torch.tensor(
        [[2, 3, 4, 5], [2, 1, 2, 1], [4, 5, 5, 5]]
    )  # (N, H + 1): falls at the end, is cut, falls at once
    found = beam.watched_transitions(path)
    assert found.state.tolist() == [2, 3, 4, 2, 1, 2, 4]
    assert found.next_state.tolist() == [3, 4, 5, 1, 2, 1, 5]
    assert found.terminated.tolist() == [False, False, True, False, False, False, True]
    assert found.truncated.tolist() == [False, False, False, False, False, True, False]


def test_clouds_have_every_setting_and_the_same_episodes_in_each():
    state, action, reward = (torch.arange(24.0).reshape(8, 3) + k for k in range(3))

    def weigh(state, reward, discount):
        return {"plain": reward, "discounted": discount * reward}

    def estimate(state, action, weight):
        assert state.shape == action.shape == weight.shape
        return (state * weight).sum((1, 2))[:, None] / state.shape[1]

    clouds = gradient_clouds(weigh, estimate, (state, action, reward), sizes=(2, 4), discounts=(0.5, 1.0))
    assert set(clouds) == {(n, name, gamma) for n in (2, 4) for name in ("plain", "discounted") for gamma in (0.5, 1.0)}
    assert {key[0]: len(value) for key, value in clouds.items()} == {2: 4, 4: 2}
    pairs, fours = clouds[2, "discounted", 0.5], clouds[4, "discounted", 0.5]
    np.testing.assert_allclose(pairs.reshape(2, 2).mean(1), fours[:, 0], err_msg="a batch of 4 is two batches of 2")
    np.testing.assert_allclose(clouds[2, "plain", 1.0], 2 * pairs)


# --- figures and widgets ----------------------------------------------------------------------------------------------


def test_the_cloud_draws_dots_mean_and_exact_and_says_how_many_lie_outside():
    estimates = np.array([[0.0, 1.0], [-2.0, -3.0], [9.0, 0.0], [0.0, -7.0]])
    ax = gradient_cloud(
        estimates, np.array([0.5, 0.25]), np.array([-1.0, 2.0]), title="a title", labels=("x, points", "y, points")
    )
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["one batch (2 of 4 outside)"], estimates[:2])
    np.testing.assert_allclose(drawn["exact gradient"], [[-1.0, 2.0]])
    np.testing.assert_allclose(drawn["mean of the batches"], [[0.5, 0.25]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x, points", "y, points")
    assert ax.get_xlim() == ax.get_ylim() == (-6.0, 4.0), "the same for every setting: one sees the cloud shrink"


def test_no_text_of_the_cloud_is_cut_off():
    ax = gradient_cloud(
        np.zeros((600, 2)),
        np.zeros(2),
        np.ones(2),
        title="mean of the batches: off by 100% of the gradient's length (chance alone: 100%)\nnoise: 1000%",
        labels=("dJ/d theta(tilt 0), points", "dJ/d theta(tilt +1), points"),
    )
    figure = ax.get_figure()
    figure.draw_without_rendering()  # lays out
    page = figure.bbox
    for part in (ax.title, ax._left_title, ax.get_legend(), ax.xaxis.label, ax.yaxis.label):
        box = part.get_window_extent()
        assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1, part


def test_error_by_lambda_draws_each_part_and_marks_the_best():
    parts = {"bias": np.array([80.0, 40.0, 0.0]), "noise": np.array([10.0, 20.0, 60.0])}
    ax = error_by_lambda([0.0, 0.5, 1.0], parts, best=(0.5, 44.7))
    drawn = {line.get_label(): line for line in ax.lines}
    for name, values in parts.items():
        np.testing.assert_allclose(drawn[name].get_ydata(), values)
    np.testing.assert_allclose(drawn["smallest error"].get_xydata(), [[0.5, 44.7]])
    assert "a zero gradient" in [text.get_text() for text in ax.texts]
    assert len({drawn[name].get_linestyle() for name in parts}) == 2, "told apart without colour"
    assert ax.get_xlabel() and "%" in ax.get_ylabel()


EXACT = np.array([0.0, 0.0, 3.0, -4.0, 0.0])  # length 5
BASELINES = ("whole return", "to go")


def table():
    """Estimates exact * discount, +- a spread in one component that falls with the batch."""
    spread = np.zeros((400, 5))
    spread[::2, 2], spread[1::2, 2] = 10.0, -10.0
    return {
        (n, name, gamma): EXACT * gamma + spread / n * (1 if name == "to go" else 4)
        for n in (2, 16)
        for name in BASELINES
        for gamma in (0.5, 0.75, 1.0)
    }


def noise():
    return noise_explorer(table(), EXACT)


def test_noise_says_bias_noise_and_how_many_batches_point_uphill():
    explorer = noise()
    assert explorer.values == {"discount": 1.0, "baseline": "whole return", "batch": 16}
    assert "off by 0%" in explorer.alt_text and "noise 50%" in explorer.alt_text
    assert "100% of batches" in explorer.alt_text
    explorer.controls["discount"].value = 0.5
    assert "off by 50%" in explorer.alt_text
    explorer.controls["batch"].value = 2
    assert "noise 401%" in explorer.alt_text and "50% of batches" in explorer.alt_text


def test_noise_says_how_far_off_chance_alone_puts_the_mean():
    """An unbiased estimator is off by its noise over the root of the batches: that is no bias."""
    rng = np.random.default_rng(0)
    drawn = EXACT + rng.normal(size=(400, 5)) * 10
    explorer = noise_explorer({(2, "whole return", 1.0): drawn, (2, "whole return", 0.5): drawn}, EXACT)
    length = np.linalg.norm(EXACT)
    off = 100 * np.linalg.norm(drawn.mean(0) - EXACT) / length
    chance = 100 * np.sqrt(drawn.var(0, ddof=1).sum() / 400) / length
    assert f"off by {off:.0f}% of its length (chance alone: {chance:.0f}%)" in explorer.alt_text
    assert 15 < chance < 30


def test_noise_draws_another_picture_for_each_control():
    explorer = noise()
    seen = {explorer.picture}
    for key, value in (("discount", 0.75), ("baseline", "to go"), ("batch", 2)):
        explorer.controls[key].value = value
        seen.add(explorer.picture)
    assert len(seen) == 4 and explorer._status.value == ""


def test_noise_survives_a_slider_value_that_is_nearly_on_the_grid():
    explorer = noise()
    explorer.controls["discount"].value = 0.75 + 1e-12
    assert explorer._status.value == "" and "off by 25%" in explorer.alt_text


def test_lambda_weighs_bias_against_noise_by_the_batch():
    lams, bias, spread = [0.0, 0.5, 1.0], np.array([0.8, 0.3, 0.0]), np.array([0.5, 1.0, 5.0])
    explorer = lambda_explorer(lams, {"wrong": (bias, spread), "exact": (0 * bias, spread)})
    assert "is at lambda 0.5" in explorer.alt_text
    percent = 100 * (0.3**2 + 1.0 / 20) ** 0.5
    assert f"the smallest error, {percent:.0f}%" in explorer.alt_text
    before = explorer.picture
    explorer.controls["batch"].value = 200
    assert explorer.picture != before
    explorer.controls["critic"].value = "exact"
    assert "is at lambda 0;" in explorer.alt_text or explorer.alt_text.endswith("is at lambda 0")
    assert explorer._status.value == ""
