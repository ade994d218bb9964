-- How the score of a user on a board is named where scores of several boards are kept in one hash. A user's id may
-- hold a newline, a board's key does not. keys.py has the same for Python.

local function score_name(board, user)
  return board .. '\n' .. user
end

-- board, user; nil for a text that names no score
local function split_score_name(name)
  return string.match(name, '^([^\n]*)\n(.*)$')
end
