using Coordinator.Orchestrator.Hosting;

var builder = WebApplication.CreateSlimBuilder(args);
builder.AddOrchestrator();
var application = builder.Build();
application.MapOrchestrator();
await application.RunAsync();
