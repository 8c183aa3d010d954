// A call of the workflow read-text as C# makes it:
//
//     TypedCheck CALL REPLY OUTPUT   writes the call to CALL, and what it reads of the response in REPLY to OUTPUT
using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Coordinator.Workflows.V1;
using Google.Protobuf;

var request = new ReadTextServiceExecuteRequest
{
    WorkflowCall = new WorkflowCall { SessionId = "by-hand", Priority = 7, AdmissionClass = AdmissionClass.Interactive },
    DetectionModelId = "",
    MaxSide = 1200,
    MinConfidence = 0.25,
    Page = new Datum { InlineBytes = ByteString.CopyFromUtf8("page"), MediaType = "image/png" },
};
File.WriteAllBytes(args[0], request.ToByteArray());

var response = ReadTextServiceExecuteResponse.Parser.ParseFrom(File.ReadAllBytes(args[1]));
File.WriteAllText(args[2], $"{response.Text}|{response.UpsideDown}|{response.Lines.Count}|{response.Annotated.MediaType}");
return 0;
