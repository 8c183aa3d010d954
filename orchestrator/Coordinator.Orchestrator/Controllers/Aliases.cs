// Two messages of the contract under the names that callers of the web API know them by.
global using ProcessingSessionControlRequest = Coordinator.Processing.V1.PostSessionControlRequest;
global using ProcessingWorkflowExecuteRequest = Coordinator.Processing.V1.PostWorkflowExecuteRequest;
