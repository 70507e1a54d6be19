"""Recurrent cores: GRU and LSTM, one layer each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_lab.nets.base import Core, State
from metarl_lab.ops.gru import gru_unroll


class GRUCore(Core):
    """h_t = (1 - z) n + z h_{t-1} (Cho et al. 2014). State: (h,), h (B, hidden); out_t = h_t."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.out_size = hidden
        self.gru = nn.GRU(inputs, hidden)

    def reset_parameters(self) -> None:
        """Orthogonal blocks, one per gate; biases zero."""
        _orthogonal(self.gru, gates=3)

    def initial(self, n: int) -> State:
        """Zeros."""
        return (self.gru.all_weights[0][0].new_zeros(n, self.out_size),)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        hidden = torch.gru_cell(x, state[0], *self.gru.all_weights[0])
        return hidden, (hidden,)

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        out = gru_unroll(x, state[0], self.gru)
        return out, (out[-1],)


class LSTMCore(Core):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t) (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    State: (h, c), each (B, hidden); out_t = h_t.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.out_size = hidden
        self.lstm = nn.LSTM(inputs, hidden)

    def reset_parameters(self) -> None:
        """Orthogonal blocks, one per gate; biases zero but the forget gate's, which starts at 1: it remembers."""
        _orthogonal(self.lstm, gates=4)
        with torch.no_grad():
            self.lstm.all_weights[0][2][self.out_size : 2 * self.out_size] = 1.0  # torch's order: i, f, g, o

    def initial(self, n: int) -> State:
        """Zeros."""
        zeros = self.lstm.all_weights[0][0].new_zeros(n, self.out_size)
        return zeros, zeros

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, cell = torch.lstm_cell(x, list(state), *self.lstm.all_weights[0])
        return hidden, (hidden, cell)

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        out, (hidden, cell) = self.lstm(x, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        return out, (hidden[0], cell[0])


def _orthogonal(rnn: nn.RNNBase, gates: int) -> None:
    for name, weight in rnn.named_parameters():
        if "weight" in name:
            for gate in weight.chunk(gates):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(weight)
