-- A: at, verdicts. Returns the ids of those that were held.
local held = {}
for _, v in ipairs(A[2]) do
  if settle(v, A[1]) then held[#held + 1] = v[1] end
end
return held
