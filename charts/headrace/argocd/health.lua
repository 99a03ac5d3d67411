-- The health of a DataPipeline, TrainJob, TuneJob or InferenceEndpoint for Argo CD.
-- Argo CD runs this without Lua's string library; only the base and table functions may be used.

local function health(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "is being deleted")
end

local status = obj.status or {}
-- What the status says of an older spec is no news of this one: a run that was complete may start again.
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waits for the operator to see generation " .. tostring(obj.metadata.generation))
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

-- The first condition that is true decides.
local verdicts = {
  { "Failed", "Degraded" },
  { "Complete", "Healthy" },
  { "Suspended", "Suspended" },
  { "Stalled", "Degraded" },
  { "Ready", "Healthy" },
}
for _, verdict in ipairs(verdicts) do
  local condition = conditions[verdict[1]]
  if condition ~= nil and condition.status == "True" then
    return health(verdict[2], condition.message)
  end
end

local now = conditions.Ready or {}
-- An endpoint that served and does not any more; one that never did is on its way.
if status.phase == "Degraded" then
  return health("Degraded", now.message)
end
return health("Progressing", now.message or "waits for the operator")
